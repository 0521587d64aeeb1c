package spawn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// A keeper is a process between us and one that we start. All that the latter
// leaves behind becomes the keeper's child, or is in its PID namespace, and is
// killed when the process has ended. We do not do that ourselves, since being a
// subreaper would hand us the orphans of the host program's other children. It
// ends with us by the parent-death signal, so the guard need not know of it.
//
// On its socket it tells that the process has started, with its pidfd, or why it
// could not be, then waits to be told to go on, and later tells how it ended.

// keptVar tells a keeper what to start: role, number of files, path.
const keptVar = "MP_PROCESS_KEPT"

// attrOfKeeper changes how a process is started so that its keeper is.
func attrOfKeeper(s *Spec, attr *syscall.ProcAttr, role string, sock int) {
	n := len(attr.Files)
	attr.Env = environ(attr.Env, marker+"="+given(roleKeeper, n+1), fmt.Sprintf("%s=%s %d %s", keptVar, role, n, s.Path))
	attr.Files = append(attr.Files, uintptr(sock))
	s.Path = "/proc/self/exe"
	if s.Contain == Subreaper {
		attr.Sys.Pdeathsig = syscall.SIGTERM // it has work to do
		return
	}
	attr.Sys.Cloneflags = syscall.CLONE_NEWPID
	if !mayMakeNamespaces() { // but with one for users, anyone may
		attr.Sys.Cloneflags |= syscall.CLONE_NEWUSER
		attr.Sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.Sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	}
}

// mayMakeNamespaces reports whether this process has CAP_SYS_ADMIN.
func mayMakeNamespaces() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	err := unix.Capget(&head, &sets[0])
	return err == nil && sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// How long a keeper may take to start its process, and to end it.
const (
	keeperStart = time.Minute
	keeperEnd   = 3 * time.Second
)

// meet waits until the keeper has started the process and finds out who it is. The
// keeper does not reap it before it is told to go on.
func (p *Process) meet(cancel <-chan struct{}) error {
	_ = p.sock.SetReadDeadline(time.Now().Add(keeperStart))
	met := make(chan struct{})
	defer close(met)
	go func() {
		select {
		case <-cancel:
			_ = p.sock.SetReadDeadline(time.Unix(1, 0))
		case <-met:
		}
	}()
	raw, err := p.sock.SyscallConn()
	if err != nil {
		return err
	}
	var b [8]byte
	oob := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	werr := raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, err = unix.Recvmsg(int(fd), b[:], oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	switch {
	case werr != nil:
		return fmt.Errorf("the keeper of a worker does not answer: %w", werr)
	case err != nil || n < startedSize:
		return errKeeperEnded
	}
	if errno := syscall.Errno(binary.LittleEndian.Uint32(b[:])); errno != 0 {
		return &os.PathError{Op: "start", Path: p.path, Err: errno}
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("the keeper of a worker sends no descriptor of it: %w", syscall.EMFILE)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return fmt.Errorf("the keeper of a worker sends no descriptor of it: %w", syscall.EMFILE)
	}
	p.kept = fds[0]
	if p.PID, p.InProc, err = numberOf(p.kept); err != nil {
		return err
	}
	_, _ = p.sock.Write(b[:1])
	return nil
}

var errKeeperEnded = errors.New("its keeper has ended")

// ErrKilled is the error of a start that somebody else has ended with SIGKILL: that
// says nothing about the next one.
var ErrKilled = errors.New("it was killed")

// startedSize is the length of the keeper's first message: an error's number, 0
// if the process was started; then its pidfd comes with it.
const startedSize = 4

// numberOf is the number in our PID namespace of the process that a pidfd refers
// to, and that in /proc, which may be of a namespace further out.
func numberOf(pidfd int) (ours, inProc int, err error) {
	numbers, err := sys.Numbers(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil {
		return 0, 0, err
	}
	depth := sys.Depth()
	if depth >= len(numbers) || numbers[depth] <= 0 {
		return 0, 0, fmt.Errorf("a worker has ended before it could be seen: %w", syscall.EAGAIN)
	}
	return numbers[depth], numbers[0], nil
}

// testament is how the process ended as its keeper has told it, which has ended;
// not ok if it was killed before, or there is none.
func (p *Process) testament() (status Status, ok bool) {
	if p.sock == nil || p.kept < 0 {
		return status, false
	}
	raw, err := p.sock.SyscallConn()
	if err != nil {
		return status, false
	}
	var b [4]byte
	n := 0
	_ = raw.Control(func(fd uintptr) {
		_ = sys.Receive(func() (err error) {
			n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
			return err
		})
	})
	return statusOf(syscall.WaitStatus(binary.LittleEndian.Uint32(b[:]))), n == len(b)
}

// orphaned ends a process whose keeper was killed, with its group, and returns when
// it is dead. The kernel kills it too, but not its group.
func (p *Process) orphaned() {
	if p.kept < 0 {
		return
	}
	_ = unix.PidfdSendSignal(p.kept, unix.SIGKILL, nil, 0)
	fds := []unix.PollFd{{Fd: int32(p.kept), Events: unix.POLLIN}}
	for limit := time.Now().Add(time.Second); ; {
		n, err := unix.Poll(fds, int(time.Until(limit).Milliseconds()))
		if n > 0 || err != unix.EINTR {
			break
		}
	}
	// Before Linux 6.9, only the number is left. It is the group's as long as the process
	// has not been reaped.
	if err := unix.PidfdSendSignal(p.kept, unix.SIGKILL, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP); err == nil || err == unix.ESRCH {
		return
	}
	if unix.PidfdSendSignal(p.kept, 0, nil, 0) == nil {
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	}
}

// runKeeper is the keeper process.
func runKeeper() {
	what, n, path := keepsWhat()
	sock := n
	for fd := range sock + 1 {
		syscall.CloseOnExec(fd)
	}
	tell := func(b []byte) { _, _ = syscall.Write(sock, b) }
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	// Not ignored, which the process would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

	files := make([]uintptr, n)
	for fd := range files {
		files[fd] = uintptr(fd)
	}
	runtime.LockOSThread() // which the process's parent-death signal is tied to
	pidfd := -1
	pid, _, err := syscall.StartProcess(path, os.Args[1:], &syscall.ProcAttr{
		Env:   append(os.Environ(), marker+"="+what),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	})
	if err == nil && pidfd < 0 {
		if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			errno = syscall.EINVAL
		}
		tell(binary.LittleEndian.AppendUint32(nil, uint32(errno)))
		return
	}
	for fd := range n {
		_ = syscall.Close(fd) // others wait for their end
	}
	_ = unix.Sendmsg(sock, make([]byte, startedSize), unix.UnixRights(pidfd), nil, unix.MSG_NOSIGNAL)
	go func() {
		<-end
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // its number may be another's by now
		_ = unix.Shutdown(sock, unix.SHUT_RD)
	}()
	_, _ = ignoringEINTR(func() (int, error) { return syscall.Read(sock, make([]byte, 1)) }) // it has been met
	go func() {
		// The parent may not kill us any more: see heed.
		_, _ = ignoringEINTR(func() (int, error) { return syscall.Read(sock, make([]byte, 1)) })
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	}()
	status := reapUntil(pid)
	sweep()
	tell(binary.LittleEndian.AppendUint32(nil, uint32(status)))
}

func ignoringEINTR(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

func keepsWhat() (role string, files int, path string) {
	v := os.Getenv(keptVar)
	_ = os.Unsetenv(keptVar)
	role, v, _ = strings.Cut(v, " ")
	n, path, _ := strings.Cut(v, " ")
	files, _ = strconv.Atoi(n)
	return role, files, path
}

// reapUntil reaps orphans until the process has ended.
func reapUntil(pid int) (ws syscall.WaitStatus) {
	for {
		if got, err := syscall.Wait4(-1, &ws, 0, nil); got == pid || err != nil && err != syscall.EINTR {
			return ws
		}
	}
}

// sweep kills all that the process has left behind.
func sweep() {
	for limit := time.Now().Add(keeperEnd / 2); time.Now().Before(limit); {
		if os.Getpid() == 1 { // of a namespace: that reaches all the others
			_ = syscall.Kill(-1, syscall.SIGKILL)
		} else {
			killChildren()
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.ECHILD {
				return
			}
			if pid <= 0 && err != syscall.EINTR {
				break
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// killChildren kills this process's children; theirs become ours by that.
func killChildren() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		b, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && sys.Depth() == 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			} else if numbers, err := sys.Numbers("/proc/" + field + "/status"); err == nil && len(numbers) > sys.Depth() {
				_ = syscall.Kill(numbers[sys.Depth()], syscall.SIGKILL) // /proc has other numbers than we
			}
		}
	}
}

func init() {
	if role == roleKeeper {
		runKeeper()
		syscall.Exit(0)
	}
}
