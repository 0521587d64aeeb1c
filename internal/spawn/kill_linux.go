package spawn

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// A process ID may be reused as soon as its process has been reaped. Other code in this program may
// do that at any moment. So signals are sent by pidfd. Where that is refused, they are sent by ID
// to processes that have not been reaped.

// Kill kills the process, its group, and whatever else Contain specifies. It does nothing after the
// end of the process.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
		return
	case p.sock == nil:
		// A task may have moved the process to another group.
		p.escalate(errors.Join(killGroup(p.pidfd, p.child), signalTo(p.pidfd, p.child, syscall.SIGKILL)))
	case p.contain == Namespace: // the kernel ends the namespace with its first process
		p.escalate(signalTo(p.pidfd, p.child, syscall.SIGKILL))
	default: // the keeper does it, unless it is prevented
		p.escalate(signalTo(p.pidfd, p.child, syscall.SIGTERM))
		_ = signalTo(p.pidfd, p.child, syscall.SIGCONT) // a task may have stopped it
		time.AfterFunc(keeperEnd, p.killKeeper)
	}

	p.limitLife()
}

// limitLife starts the timer that gives up a killed process. The caller must hold p.mu.
func (p *Process) limitLife() {
	if p.limit == nil {
		p.limit = time.AfterFunc(givenUp, func() { p.finish(Status{ExitCode: -1, Signal: syscall.SIGKILL, Stuck: true}) })
	}
}

// escalate handles an error of killing the process. If the system does not allow us to kill it,
// because one of us has changed its user, escalate tries other ways. A guard or keeper has the user
// that we had when it was started. The caller must hold p.mu.
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

// Signal sends a signal to the process alone. It does nothing after the end of the process.
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

// killGroup kills the group of a child. If the child has been reaped, that needs Linux 6.9.
func killGroup(pidfd *os.File, pid int) error {
	return send(pidfd, syscall.SIGKILL, unix.PIDFD_SIGNAL_PROCESS_GROUP, -pid)
}

// send sends a signal. It returns nil if no process is left to receive it.
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
