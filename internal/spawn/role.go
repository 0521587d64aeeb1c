// Package spawn starts worker processes, tells when they have ended, kills them
// with their process group, and sees to it that they end with the parent.
package spawn

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// marker is the environment variable by which a started process knows its role, and after a colon how many descriptors
// it was given. The package's init takes it out again, so that nothing the process starts can
// mistake itself for a worker.
const marker = "MP_PROCESS_ROLE"

const (
	roleWorker = "worker"
	roleSingle = "single" // a worker for one task
	roleGuard  = "guard"
	roleKeeper = "keeper"
)

var role = takeRole()

// takeRole is the package's init.
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
	case roleKeeper: // it leaves the rest to its worker
		setName(keeperName)
	case roleGuard:
		setName(guardName)
	default:
		if r == roleWorker {
			swallowSignals() // before it has its name, by which they may be sent
		}
		takeTitle()
		restoreProcs()
	}
	return r
}

// IsWorker reports whether this process was started as a worker.
func IsWorker() bool { return role == roleWorker || role == roleSingle }

// IsSingle reports whether it is a worker for one task.
func IsSingle() bool { return role == roleSingle }

// swallowSignals keeps a signal of a terminal or a supervisor, or one that is sent to all
// processes of the program's name, from ending a worker: the parent, which gets it too,
// decides. They are caught, not ignored, because what is ignored stays so in programs that
// a task executes; what was ignored before, by nohup for instance, stays ignored. These are
// the signals that would end a Go program and that ask it for something; SIGQUIT, which has
// it tell its stacks and end, does so in workers too.
func swallowSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// given is the marker's value for a role with n descriptors.
func given(role string, n int) string { return fmt.Sprintf("%s:%d", role, n) }
