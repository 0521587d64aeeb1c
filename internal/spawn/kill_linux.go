package spawn

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// A number may be another process's as soon as the one that had it has been reaped, which
// something else in this program may do at any moment. So signals go by pidfd. Where that is
// refused, they go by number to what has not been reaped.

// Kill kills the process with its group and whatever else Contain says. It does
// nothing after the end.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
	case p.sock == nil:
		killGroup(p.pidfd, p.child)
	case p.contain == Namespace: // with its first process the kernel ends all
		signalTo(p.pidfd, p.child, syscall.SIGKILL)
	default: // the keeper does it; unless it is kept from that
		signalTo(p.pidfd, p.child, syscall.SIGTERM)
		signalTo(p.pidfd, p.child, syscall.SIGCONT) // a task may have stopped it
		time.AfterFunc(keeperEnd, p.killKeeper)
	}
}

func (p *Process) killKeeper() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		signalTo(p.pidfd, p.child, syscall.SIGKILL)
	}
}

// Signal sends a signal to the process alone. It does nothing after the end.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
	case p.kept >= 0:
		_ = unix.PidfdSendSignal(p.kept, s, nil, 0)
	default:
		signalTo(p.pidfd, p.PID, s)
	}
}

// signalTo sends a signal to a child.
func signalTo(pidfd *os.File, pid int, s syscall.Signal) { send(pidfd, s, 0, pid) }

// killGroup kills the group of a child, which may have been reaped. Before Linux 6.9 it is
// not killed then.
func killGroup(pidfd *os.File, pid int) {
	send(pidfd, syscall.SIGKILL, unix.PIDFD_SIGNAL_PROCESS_GROUP, -pid)
}

func send(pidfd *os.File, s syscall.Signal, flags int, pid int) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		switch unix.PidfdSendSignal(int(fd), s, nil, flags) {
		case nil, unix.ESRCH:
			return
		}
		if !sys.IsReaped(int(fd)) {
			_ = syscall.Kill(pid, s)
		}
	})
}
