package spawn

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// leaveTerminal detaches this process, and thus the processes that it will start, from its parent's
// terminal. This process is never in the terminal's foreground, so the system would stop it if it
// read from the terminal, and nothing would ever continue it.
//
// A new session has no terminal either. But Linux schedules each session as a group (see autogroup
// in sched(7)), so parent and workers would wake each other later: a Map of small tasks takes a
// tenth longer. So a new session is used only if the terminal cannot be given up.
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
		return nil // there is no terminal
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0)
}

// newSession makes this process the leader of a new session. The leader of a process group cannot
// start a session, so the process first joins its parent's group.
func newSession() {
	if group, err := unix.Getpgid(os.Getppid()); err == nil {
		_ = unix.Setpgid(0, group)
	}
	_, _ = unix.Setsid()
}
