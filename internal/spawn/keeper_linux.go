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

// A keeper is a process between us and a process that we start. All orphans of the started process
// become the keeper's children, or are in its PID namespace, and the keeper kills them when the
// process has ended. We are not the subreaper ourselves, because we would then also get the orphans
// of the host program's other children. The parent-death signal ends the keeper when we die, so the
// guard need not know about the keeper.
//
// Over its socket, the keeper sends the pidfd of the started process, or reports why the process
// could not be started. Then the keeper waits for permission to continue. Later, it reports how the
// process ended.

// keptVar tells a keeper what to start: the role, the number of files, and the path.
const keptVar = "MP_PROCESS_KEPT"

// attrOfKeeper changes s and attr, which describe a process, so that they describe the process's
// keeper.
func attrOfKeeper(s *Spec, attr *syscall.ProcAttr, role string, sock int) {
	n := len(attr.Files)
	attr.Env = environ(attr.Env, marker+"="+given(roleKeeper, n+1), fmt.Sprintf("%s=%s %d %s", keptVar, role, n, s.Path))
	attr.Files = append(attr.Files, uintptr(sock))
	s.Path = "/proc/self/exe"
	if s.Contain == Subreaper {
		attr.Sys.Pdeathsig = syscall.SIGTERM // the keeper must end its process first
		return
	}
	attr.Sys.Cloneflags = syscall.CLONE_NEWPID
	if !mayMakeNamespaces() { // in a user namespace of its own, every user may make them
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

// These limits apply to the time that a keeper takes to start its process, and to the time that it
// takes to end the process.
const (
	keeperStart = time.Minute
	keeperEnd   = 3 * time.Second
)

// awaitStart waits until the keeper has started the process, and gets the IDs of the process. The
// keeper does not reap the process before awaitStart has written to the keeper's socket.
func (p *Process) awaitStart(cancel <-chan struct{}) error {
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

// ErrKilled is the error of a start that failed because another process sent SIGKILL. Such a
// failure says nothing about the next start.
var ErrKilled = errors.New("it was killed")

// startedSize is the length of the keeper's first message. The message is an error number. If the
// number is 0, the process was started, and its pidfd comes with the message.
const startedSize = 4

// numberOf returns two IDs of the process that a pidfd refers to: the ID in our PID namespace, and
// the ID in /proc, which may belong to an outer namespace.
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

// exitReport returns how the process ended, as reported by its keeper. It must be called after the
// keeper's end. It reports false if the keeper was killed before it could report, or if there is no
// keeper.
func (p *Process) exitReport() (status Status, ok bool) {
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

// orphaned kills a process whose keeper was killed, and the process's group. It returns when the
// process is dead, or after a second. The kernel kills the process, too, but not the group.
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

	// Before Linux 6.9, a group can be killed only by its ID. The ID belongs to the group as long
	// as the process has not been reaped.
	if err := unix.PidfdSendSignal(p.kept, unix.SIGKILL, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP); err == nil || err == unix.ESRCH {
		return
	}
	if unix.PidfdSendSignal(p.kept, 0, nil, 0) == nil {
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	}
}

// runKeeper runs the keeper process.
func runKeeper() {
	what, n, path := keepsWhat()
	sock := n
	for fd := range sock + 1 {
		syscall.CloseOnExec(fd)
	}
	tell := func(b []byte) { _, _ = syscall.Write(sock, b) }
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	// These signals are caught rather than ignored, because the process would inherit that they are
	// ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

	files := make([]uintptr, n)
	for fd := range files {
		files[fd] = uintptr(fd)
	}

	runtime.LockOSThread() // the process's parent-death signal is tied to this thread
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
		_ = syscall.Close(fd) // other processes wait for the end
	}
	_ = unix.Sendmsg(sock, make([]byte, startedSize), unix.UnixRights(pidfd), nil, unix.MSG_NOSIGNAL)
	go func() {
		<-end
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // its ID may have been reused
		_ = unix.Shutdown(sock, unix.SHUT_RD)
	}()

	// Wait until the parent knows the process.
	_, _ = ignoringEINTR(func() (int, error) { return syscall.Read(sock, make([]byte, 1)) })
	go func() {
		// The parent shuts the socket down if it is no longer allowed to kill us; see escalate.
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

// sweep kills all processes that the process left behind.
func sweep() {
	for limit := time.Now().Add(keeperEnd / 2); time.Now().Before(limit); {
		if os.Getpid() == 1 { // the first process of the namespace: reaches all others
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

// killChildren kills this process's children. The children's children then become children of this
// process.
func killChildren() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		b, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && sys.Depth() == 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			} else if numbers, err := sys.Numbers("/proc/" + field + "/status"); err == nil && len(numbers) > sys.Depth() {
				_ = syscall.Kill(numbers[sys.Depth()], syscall.SIGKILL) // not the ID in /proc
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
