// Package spawn starts worker processes, reports their ends, kills them with their process groups,
// and ensures that they end with the parent.
package spawn

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// marker is the environment variable that tells a started process its role and, after a colon, how
// many descriptors it was given. The package's initialization removes the variable, so that no
// other process mistakes itself for a worker.
const marker = "MP_PROCESS_ROLE"

const (
	roleWorker = "worker"
	roleSingle = "single" // a worker for one task
	roleGuard  = "guard"
	roleKeeper = "keeper"
)

var role = takeRole()

// takeRole sets this process up for its role and returns the role. It runs during the package's
// initialization.
func takeRole() string {
	r := os.Getenv(marker)
	if r != "" {
		_ = os.Unsetenv(marker)
		leaveTerminal()
	}
	r, given, counted := strings.Cut(r, ":")
	if n, err := strconv.Atoi(given); counted && err == nil {
		closeInherited(n, r == roleGuard || r == roleKeeper)
	}

	switch r {
	case "":
	case roleKeeper: // the worker does the rest
		setName(keeperName)
	case roleGuard:
		setName(guardName)
	default:
		if r == roleWorker {
			swallowSignals() // before it gets its name, because killall sends signals by name
		}
		takeTitle()
		restoreProcs()
	}
	return r
}

// IsWorker reports whether this process was started as a worker.
func IsWorker() bool { return role == roleWorker || role == roleSingle }

// IsSingle reports whether this process is a worker for one task.
func IsSingle() bool { return role == roleSingle }

// swallowSignals keeps the signals that ask a program to end from ending a worker. They may come
// from a terminal or a supervisor, or be sent to all processes with the program's name. The parent
// gets them, too, and decides what to do. The signals are caught rather than ignored, because
// programs that a task executes would inherit that they are ignored. Signals that were ignored
// before, for example because of nohup, stay ignored. SIGQUIT still makes a worker print its stacks
// and exit.
func swallowSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// given returns the marker's value for a role with n descriptors.
func given(role string, n int) string { return fmt.Sprintf("%s:%d", role, n) }
