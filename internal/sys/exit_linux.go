package sys

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// AwaitExit returns when the process of a pidfd has ended. The pidfd must use the poller. AwaitExit
// does not reap the process. The status is known if the process is still a zombie, or if the kernel
// is Linux 6.15 or later. The process is no longer a zombie if other code in this program has
// reaped it, or if the kernel has reaped it because SIGCHLD is ignored.
func AwaitExit(pidfd *os.File) (ws syscall.WaitStatus, known bool) {
	AwaitDeath(pidfd)
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		if ws, known = zombieStatus(int(fd)); !known {
			ws, known = reapedStatus(int(fd))
		}
	})
	return ws, known
}

// AwaitDeath is like AwaitExit, but the process need not be our child, and no status is returned.
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

// Reap reaps a child whose end AwaitExit has seen, and returns its status. It never reaps another
// child that has been given the same ID, unless the system refuses to reap by pidfd.
func Reap(pidfd *os.File, pid int) (ws syscall.WaitStatus, ok bool) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 0, false
	}
	refused := false
	_ = raw.Control(func(fd uintptr) {
		var info unix.Siginfo
		err := waitid(int(fd), &info, 0)
		if err == nil {
			ws, ok = waitStatus(info.Code, exitStatusOf(&info))
		}
		refused = err != nil && !errors.Is(err, unix.ECHILD)
	})
	if refused {
		return reapByNumber(pid)
	}

	return ws, ok
}

func reapByNumber(pid int) (ws syscall.WaitStatus, ok bool) {
	for {
		if _, err := syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
			return ws, err == nil
		}
	}
}

// IsReaped reports whether the process of a pidfd, a child of ours, has been reaped. Its ID may
// then belong to another process.
func IsReaped(pidfd int) bool {
	return errors.Is(waitid(pidfd, &unix.Siginfo{}, withoutWaiting), unix.ECHILD)
}

// zombieStatus returns the status of a child that has ended but has not been reaped.
func zombieStatus(pidfd int) (ws syscall.WaitStatus, ok bool) {
	var info unix.Siginfo
	if err := waitid(pidfd, &info, withoutWaiting); err != nil || info.Signo == 0 {
		return 0, false
	}
	return waitStatus(info.Code, exitStatusOf(&info))
}

// withoutWaiting makes waitid neither wait nor reap.
const withoutWaiting = unix.WNOHANG | unix.WNOWAIT

func waitid(pidfd int, info *unix.Siginfo, options int) error {
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, info, unix.WEXITED|options, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// These values of si_code describe the end of a child.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// waitStatus converts a status from waitid to the form that wait4 returns.
func waitStatus(code, status int32) (ws syscall.WaitStatus, ok bool) {
	switch code {
	case cldExited:
		return syscall.WaitStatus(status&0xff) << 8, true
	case cldKilled:
		return syscall.WaitStatus(status & 0x7f), true
	case cldDumped:
		return syscall.WaitStatus(status&0x7f | 0x80), true
	}
	return 0, false
}

// reapTime limits how long reapedStatus waits for the kernel to release a process that is no longer
// a zombie.
const reapTime = 100 * time.Millisecond

// reapedStatus returns the status of a process that has been reaped. The kernel keeps the status
// for the pidfd.
func reapedStatus(pidfd int) (ws syscall.WaitStatus, ok bool) {
	for limit := time.Now().Add(reapTime); ; {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(pidfd, &info)
		if err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return syscall.WaitStatus(info.Exit_code), true
		}
		left := time.Until(limit)
		if err != nil && !errors.Is(err, unix.ESRCH) || left <= 0 {
			return 0, false // the kernel does not have the status
		}
		fds := []unix.PollFd{{Fd: int32(pidfd)}} // POLLHUP comes when the process is released
		if n, err := unix.Poll(fds, int(left.Milliseconds())+1); n > 0 || err != nil && err != unix.EINTR {
			limit = time.Now()
		}
	}
}
