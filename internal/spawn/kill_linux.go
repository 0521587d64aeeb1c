package spawn

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// A process ID may be reused as soon as its process has been reaped, and other code in this program
// may reap a process at any moment. So signals are sent by pidfd. Where that is refused, they are
// sent by ID, but only to processes that have not been reaped.

// Kill kills the process, its group, and whatever else Contain specifies. It does nothing if the
// process has been reaped.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
		return
	case p.sock == nil:
		// A task may have moved the process to another group.
		p.escalate(errors.Join(killGroup(p.pidfd, p.child), signalTo(p.pidfd, p.child, syscall.SIGKILL)))
	case p.contain == Namespace: // the kernel ends the namespace when its first process ends
		p.escalate(signalTo(p.pidfd, p.child, syscall.SIGKILL))
	default: // the keeper kills the processes, unless it is prevented from doing so
		p.escalate(signalTo(p.pidfd, p.child, syscall.SIGTERM))
		_ = signalTo(p.pidfd, p.child, syscall.SIGCONT) // a task may have stopped it
		time.AfterFunc(keeperEnd, p.killKeeper)
	}

	p.limitLife()
}

// limitLife starts the timer that gives up on a killed process. The caller must hold p.mu.
func (p *Process) limitLife() {
	if p.limit == nil {
		p.limit = time.AfterFunc(givenUp, func() { p.finish(Status{ExitCode: -1, Signal: syscall.SIGKILL, Stuck: true}) })
	}
}

// escalate handles an error from killing the process. If the system does not allow us to kill the
// process, because we or the process have changed user, escalate tries other ways. A guard or
// keeper still runs as the user that we had when it was started. The caller must hold p.mu.
func (p *Process) escalate(err error) {
	if !errors.Is(err, syscall.EPERM) {
		return
	}
	if p.sock == nil {
		family.guard.endGroup(p.PID)
	} else if raw, err := p.sock.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
	if p.refused != nil {
		go p.refused()
		p.refused = nil
	}
}

func (p *Process) killKeeper() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = signalTo(p.pidfd, p.child, syscall.SIGKILL)
	}
}

// Signal sends a signal to the process alone. It does nothing if the process has been reaped.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
	case p.kept >= 0:
		_ = unix.PidfdSendSignal(p.kept, s, nil, 0)
	default:
		_ = signalTo(p.pidfd, p.PID, s)
	}
}

// signalTo sends a signal to a child.
func signalTo(pidfd *os.File, pid int, s syscall.Signal) error { return send(pidfd, s, 0, pid) }

// killGroup kills the group of a child. If the child has been reaped, this works only with Linux
// 6.9 or later.
func killGroup(pidfd *os.File, pid int) error {
	return send(pidfd, syscall.SIGKILL, unix.PIDFD_SIGNAL_PROCESS_GROUP, -pid)
}

// send sends a signal. It returns nil if there is no process left to receive the signal.
func send(pidfd *os.File, s syscall.Signal, flags int, pid int) (err error) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		err = unix.PidfdSendSignal(int(fd), s, nil, flags)
		if errors.Is(err, unix.ESRCH) {
			err = nil
		}
		if err == nil {
			return
		}
		if err = nil; !sys.IsReaped(int(fd)) {
			err = syscall.Kill(pid, s)
		}
	})

	return err
}
