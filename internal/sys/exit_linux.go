package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// AwaitExit returns when the process of a pidfd, which is on the poller, has ended. It
// leaves it unreaped.
func AwaitExit(pidfd *os.File) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		return err != nil && err != unix.EINTR || info.Signo != 0
	})
}

// AwaitDeath is AwaitExit for a process that need not be our child.
func AwaitDeath(pidfd *os.File) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err != nil && err != unix.EINTR || n > 0
	})
}
