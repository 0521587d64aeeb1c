package spawn

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// A worker must not have its parent's terminal. It is never in the foreground there, so it would be stopped as soon as it
// read the terminal, and nobody would continue it.
//
// A session of its own has no terminal either. But Linux schedules sessions as groups (autogroup, see sched(7)), which
// makes parent and workers wake each other later: a Map of small tasks takes a tenth longer. So a worker stays in its
// parent's session, and gives up its terminal itself.

// ownGroup makes a process that is to be started the leader of a group: of a session only if it could not give up the
// terminal by itself.
func ownGroup(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	fd, err := openTerminal()
	if err == nil {
		_ = unix.Close(fd)
	}
	attr.Setpgid = err == nil || errors.Is(err, unix.ENXIO)
	attr.Setsid = !attr.Setpgid
	return attr
}

// leaveTerminal gives up the terminal that this process has from its parent. What it starts has none either.
func leaveTerminal() {
	if fd, err := openTerminal(); err == nil {
		_ = unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0)
		_ = unix.Close(fd)
	}
}

var terminal = "/dev/tty"

// openTerminal opens the terminal of this process. ENXIO means that it has none.
func openTerminal() (int, error) {
	return unix.Open(terminal, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}
