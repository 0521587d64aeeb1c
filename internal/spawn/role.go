// Package spawn starts worker processes, tells when they have ended, kills them
// with their process group, and sees to it that they end with the parent.
package spawn

import "os"

// marker is the environment variable by which a started process knows its role.
// The package's init takes it out again, so that nothing the process starts can
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
	}
	switch r {
	case "":
	case roleKeeper: // it leaves the rest to its worker
		setName(keeperName)
	case roleGuard:
		setName(guardName)
	default:
		takeTitle()
		restoreProcs()
	}
	return r
}

// IsWorker reports whether this process was started as a worker.
func IsWorker() bool { return role == roleWorker || role == roleSingle }

// IsSingle reports whether it is a worker for one task.
func IsSingle() bool { return role == roleSingle }
