package spawn

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Process is a started process, the leader of its own process group.
type Process struct {
	PID int

	guarded <-chan struct{}
	pidfd   *os.File
	done    chan struct{}
	status  Status

	mu     sync.Mutex
	reaped bool
}

// Start starts a process. Once it ends, what is left of its process group is
// killed, it is reaped, and Done is closed. It is killed when this process
// dies, however it dies.
func Start(s Spec) (*Process, error) {
	if s.Path == "" {
		s.Path = "/proc/self/exe"
	}
	p := &Process{done: make(chan struct{})}
	devnull, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer devnull.Close()
	files := []uintptr{devnull.Fd(), uintptr(s.Stdout), uintptr(s.Stderr)}
	for _, fd := range s.Files {
		files = append(files, uintptr(fd))
	}
	role := roleWorker
	if s.Single {
		role = roleSingle
	}
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   s.Dir,
		Env:   environ(s.Env, append(withProcs(s.Env, s.Procs), marker+"="+role)...),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	}
	if err := family.start(func() error { return p.exec(s, attr, &pidfd) }); err != nil {
		return nil, err
	}
	p.guarded = family.guard.add(p.PID, family.inTurn)
	go p.reap()
	return p, nil
}

func (p *Process) exec(s Spec, attr *syscall.ProcAttr, pidfd *int) error {
	pid, _, err := syscall.StartProcess(s.Path, s.Args, attr)
	if err != nil {
		return &os.PathError{Op: "start", Path: s.Path, Err: err}
	}
	p.PID = pid
	p.pidfd, err = pollable(*pidfd, pid)
	if err != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	return err
}

// pollable makes a file on the poller of a pidfd.
func pollable(fd, pid int) (*os.File, error) {
	if fd < 0 {
		var err error
		if fd, err = unix.PidfdOpen(pid, 0); err != nil {
			return nil, os.NewSyscallError("pidfd_open", err)
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "mp-pidfd"), nil
}

// reap waits for the end on the poller, so that no thread is held. The order
// matters: as long as the process is a zombie its number belongs to it, and
// with it the number of its group.
func (p *Process) reap() {
	awaitExit(p.pidfd)
	p.mu.Lock()
	_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	family.guard.remove(p.PID)
	p.status = collect(p.PID)
	p.reaped = true
	p.mu.Unlock()
	_ = p.pidfd.Close()
	family.release()
	close(p.done)
}

// awaitExit returns when the process has ended, leaving it unreaped.
func awaitExit(pidfd *os.File) {
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

func collect(pid int) Status {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil { // somebody else has reaped it
			return Status{ExitCode: -1}
		}
		break
	}
	if ws.Signaled() {
		return Status{ExitCode: -1, Signal: ws.Signal()}
	}
	return Status{ExitCode: ws.ExitStatus()}
}

// Guarded is closed when the process's group is under guard, or no guard can be
// had just now: what the process starts from then on will die with this one too.
func (p *Process) Guarded() <-chan struct{} { return p.guarded }

// Done is closed when the process has ended and been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status is valid after Done.
func (p *Process) Status() Status { return p.status }

// Kill kills the process with its group. It does nothing after the end.
func (p *Process) Kill() { p.signal(-p.PID, syscall.SIGKILL) }

// Signal sends a signal to the process alone. It does nothing after the end.
func (p *Process) Signal(s syscall.Signal) { p.signal(p.PID, s) }

func (p *Process) signal(pid int, s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(pid, s)
	}
}
