package spawn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// A Process is a started process. It is the leader of its own process group and has no terminal.
type Process struct {
	PID    int
	InProc int // its ID in /proc, which may belong to another PID namespace

	path    string
	contain Containment
	child   int // our child: the process or its keeper
	guarded <-chan struct{}
	pidfd   *os.File // of the child
	kept    int      // the pidfd of the process if it has a keeper; otherwise -1
	sock    *os.File // to the keeper, if there is one
	group   *leaf
	done    chan struct{}
	status  Status

	mu      sync.Mutex
	reaped  bool
	over    bool          // done is closed
	limit   *time.Timer   // gives up on the process; nil until it is killed
	gone    chan struct{} // closed when it has been reaped
	refused func()        // see Spec; nil once called
}

// Start starts a process. When the process ends, a goroutine kills the rest of its process group
// and whatever else Contain specifies, reaps the process, and closes Done. If this process dies, in
// whatever way, the started process is killed.
//
// Start returns when the process runs. If s.Cancel is closed first, it returns an error. If another
// process has killed the keeper, the error wraps ErrKilled.
//
// A killed process may live on, for example while it waits in the kernel for a dead file system.
// Done is nevertheless closed after some seconds. The process is reaped when it ends.
func Start(s Spec) (*Process, error) {
	p := &Process{done: make(chan struct{}), gone: make(chan struct{}), kept: -1, refused: s.Refused}
	if s.Cgroup != nil {
		var err error
		if p.group, err = s.Cgroup.make(s.Memory); err != nil {
			return nil, err
		}
		family.guard.addCgroup(s.Cgroup.dir)
	}

	if err := p.start(s); err != nil {
		_ = p.group.remove()
		return nil, err
	}

	if err := p.settle(s.Cancel); err != nil {
		p.Kill()
		go p.reap()
		<-p.done
		if errors.Is(err, errKeeperEnded) && (p.status.Lost || p.status.Signal == syscall.SIGKILL) {
			err = fmt.Errorf("%w: %w", err, ErrKilled)
		}
		return nil, err
	}

	go p.reap()
	return p, nil
}

// start starts the child: the process or its keeper.
func (p *Process) start(s Spec) error {
	if s.Path == "" {
		s.Path = "/proc/self/exe"
	}
	p.path, p.contain = s.Path, s.Contain
	devnull, err := os.Open(os.DevNull)
	if err != nil {
		return err
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
	role = given(role, len(files))

	title := printable(s.Title)
	args, vars := titled(s.Args, title)
	if s.Args = args; s.Contain != Group {
		s.Args = keeperOf(title, args)
	}

	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   s.Dir,
		Env:   environ(s.Env, slices.Concat(vars, withProcs(s.Env, s.Procs), []string{marker + "=" + role})...),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	}

	if s.Contain != Group {
		theirs, err := p.keeperSocket()
		if err != nil {
			return err
		}
		defer syscall.Close(theirs)
		attrOfKeeper(&s, attr, role, theirs)
	}

	err = family.start(func() error { return p.exec(s, attr, &pidfd) })
	if err != nil && p.sock != nil {
		_ = p.sock.Close()
	}
	return err
}

// keeperSocket creates the socket to a keeper and returns the keeper's end.
func (p *Process) keeperSocket() (theirs int, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	_ = syscall.SetNonblock(pair[0], true)
	p.sock = os.NewFile(uintptr(pair[0]), "mp-keeper")
	return pair[1], nil
}

func (p *Process) exec(s Spec, attr *syscall.ProcAttr, pidfd *int) error {
	pid, err := fork(s, attr)
	if err != nil {
		return err
	}
	p.PID, p.InProc, p.child = pid, pid, pid
	p.pidfd, err = pollable(*pidfd, pid)
	if err != nil {
		abandon(pid)
		return err
	}
	if sys.Depth() > 0 {
		if raw, err := p.pidfd.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _, p.InProc, _ = numberOf(int(fd)) })
		}
	}

	return nil
}

// abandon kills and reaps a child that was just started and cannot be watched.
func abandon(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
			return
		}
	}
}

func fork(s Spec, attr *syscall.ProcAttr) (pid int, err error) {
	start := func() (err error) {
		if pid, _, err = syscall.StartProcess(s.Path, s.Args, attr); err != nil {
			return &os.PathError{Op: "start", Path: s.Path, Err: err}
		}
		return nil
	}
	if len(s.CPUs) > 0 {
		err = sys.Pinned(s.CPUs, start)
	} else {
		err = start()
	}
	return pid, err
}

// settle guards a started process and puts it in its control group.
func (p *Process) settle(cancel <-chan struct{}) error {
	if p.sock == nil {
		p.guarded = family.guard.add(p.PID, family.inTurn)
	} else {
		guarded := make(chan struct{})
		close(guarded)
		p.guarded = guarded
		if p.group != nil {
			family.guard.forCgroups(family.inTurn)
		}
		if err := p.awaitStart(cancel); err != nil {
			return err
		}
	}
	return p.group.join(p.PID)
}

// pollable returns a file for a pidfd that uses the poller.
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

// reap waits for the end of the process on the poller, so it does not occupy a thread. The order of
// the steps matters: the IDs of a zombie and of its group cannot be reused until the zombie is
// reaped. Other code in this program may already have reaped it.
func (p *Process) reap() {
	ws, known := sys.AwaitExit(p.pidfd)
	willed, ok := p.exitReport()
	if !ok {
		p.orphaned()
	}

	p.group.clear()
	p.mu.Lock()
	_ = killGroup(p.pidfd, p.child)
	status := p.end(ws, known)
	if ok {
		status = willed
	}
	status.OOM = status.Signal == syscall.SIGKILL && p.group.outOfMemory()
	p.reaped = true
	p.mu.Unlock()

	_ = p.pidfd.Close()
	_ = p.group.remove()
	family.release()
	close(p.gone)
	p.finish(status)
}

// finish closes done, unless it was already closed when the process was given up.
func (p *Process) finish(s Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit != nil {
		p.limit.Stop()
	}
	if !p.over {
		p.over, p.status = true, s
		close(p.done)
	}
}

// end reaps the child and returns how the child ended. If known is true, the caller already knows,
// and passes the status as ws.
func (p *Process) end(ws syscall.WaitStatus, known bool) Status {
	if p.sock == nil {
		family.guard.remove(p.PID)
	}
	if own, ok := sys.Reap(p.pidfd, p.child); ok {
		ws, known = own, true
	}
	status := Status{ExitCode: -1, Lost: true}
	if known {
		status = statusOf(ws)
	}

	if p.sock == nil {
		return status
	}
	_ = p.sock.Close()
	if p.kept >= 0 {
		_ = unix.Close(p.kept)
	}
	return status
}

func statusOf(ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{ExitCode: -1, Signal: ws.Signal()}
	}
	return Status{ExitCode: ws.ExitStatus()}
}

// Guarded returns a channel that is closed when the guard knows the process's group, or when no
// guard can be started at present. If there is a guard, processes that the started process starts
// from then on die with this process, too.
func (p *Process) Guarded() <-chan struct{} { return p.guarded }

// Pidfd returns a new pidfd of the process. The caller must close the pidfd.
func (p *Process) Pidfd() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return -1, syscall.ESRCH
	}
	if p.kept >= 0 {
		return unix.FcntlInt(uintptr(p.kept), unix.F_DUPFD_CLOEXEC, 0)
	}
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	cerr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(cerr, err)
}

// Exiting reports whether the process no longer runs any of its code: it has ended, or the kernel
// is tearing it down. Done may be closed much later, because a keeper must report the end first, a
// control group must be emptied first, or the system is busy.
func (p *Process) Exiting() bool {
	exiting := sys.IsExiting(p.InProc)
	fd, err := p.Pidfd()
	if err != nil {
		return exiting || errors.Is(err, syscall.ESRCH)
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); err == nil && n > 0 {
		return true
	}
	return exiting // the ID was still the process's own, because it has not ended
}

// Done returns a channel that is closed when the process has ended and been reaped, or has been
// given up. If it has been given up, Stuck is set in its Status.
func (p *Process) Done() <-chan struct{} { return p.done }

// Gone returns a channel that is closed when the process has ended and been reaped.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Status returns how the process ended. It is valid after Done is closed.
func (p *Process) Status() Status { return p.status }
