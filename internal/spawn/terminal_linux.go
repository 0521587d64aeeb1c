package spawn

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// leaveTerminal detaches this process from the terminal of its parent, and so the processes that it will start. It is
// never in the foreground there, so reading the terminal would stop it, and nobody would continue it.
//
// A new session has no terminal either. But Linux schedules each session as a group (autogroup, see sched(7)), so that
// parent and workers wake each other later: a Map of small tasks takes a tenth longer. A session is the way out where
// the terminal cannot be given up.
func leaveTerminal() {
	if giveUpTerminal() != nil {
		newSession()
	}
}

func giveUpTerminal() error {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if errors.Is(err, unix.ENXIO) {
		return nil // it has none
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0)
}

// newSession makes this process, the leader of a group, the leader of a session. As the leader of a group it could not
// become that, so it joins its parent's for a moment.
func newSession() {
	if group, err := unix.Getpgid(os.Getppid()); err == nil {
		_ = unix.Setpgid(0, group)
	}
	_, _ = unix.Setsid()
}
