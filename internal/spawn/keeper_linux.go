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
)

// A keeper is a process between us and one that we start. All that the latter
// leaves behind becomes the keeper's child, or is in its PID namespace, and is
// killed when the process has ended. We do not do that ourselves, since being a
// subreaper would hand us the orphans of the host program's other children. It
// ends with us by the parent-death signal, so the guard need not know of it.
//
// On its socket it tells that the process has started, or why it could not be, is
// told to go on, and tells how the process has ended.

// keptVar tells a keeper what to start: role, number of files, path.
const keptVar = "MP_PROCESS_KEPT"

const startedByKeeper = "started"

// attrOfKeeper changes how a process is started so that its keeper is.
func attrOfKeeper(s *Spec, attr *syscall.ProcAttr, role string, sock int) {
	attr.Env = environ(attr.Env, marker+"="+roleKeeper, fmt.Sprintf("%s=%s %d %s", keptVar, role, len(attr.Files), s.Path))
	attr.Files = append(attr.Files, uintptr(sock))
	s.Path = "/proc/self/exe"
	if s.Contain == Subreaper {
		attr.Sys.Pdeathsig = syscall.SIGTERM // it has work to do
		return
	}
	attr.Sys.Cloneflags = syscall.CLONE_NEWPID
	if os.Geteuid() != 0 {
		attr.Sys.Cloneflags |= syscall.CLONE_NEWUSER
		attr.Sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.Sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	}
}

// How long a keeper may take to start its process, and to end it.
const (
	keeperStart = time.Minute
	keeperEnd   = 3 * time.Second
)

// meet waits until the keeper has started the process and finds out who it is,
// for which the keeper waits, so that even one that has ended can be seen.
func (p *Process) meet() error {
	defer func() { _, _ = p.sock.Write([]byte{0}) }()
	_ = p.sock.SetReadDeadline(time.Now().Add(keeperStart))
	var b [4096]byte
	n, err := p.sock.Read(b[:])
	if err != nil {
		return fmt.Errorf("the keeper of a worker has ended: %w", err)
	}
	if word := string(b[:n]); word != startedByKeeper {
		return errors.New(word)
	}
	// Its number in our namespace, which the keeper may not know.
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.child, p.child))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(children), " ")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("the keeper of a worker has no child but %q", children)
	}
	p.PID = pid
	p.kept, err = unix.PidfdOpen(pid, 0)
	return err
}

// testament is how the process ended as its keeper tells it; if it does not, it
// has been killed, and with it the process.
func (p *Process) testament(keepers Status) Status {
	_ = p.sock.SetReadDeadline(time.Now().Add(-time.Second))
	var b [4]byte
	raw, err := p.sock.SyscallConn()
	n := 0
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n, _, _ = unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT) })
	}
	if n == len(b) {
		return statusOf(syscall.WaitStatus(binary.LittleEndian.Uint32(b[:])))
	}
	if p.kept >= 0 {
		// It dies with the keeper, its group does not. That its number, a
		// moment ago still in use, belongs to another group by now would take
		// as many processes as there are numbers.
		_ = unix.PidfdSendSignal(p.kept, unix.SIGKILL, nil, 0)
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	}
	return keepers
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
	pid, _, err := syscall.StartProcess(path, os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), marker+"="+what),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		tell([]byte((&os.PathError{Op: "start", Path: path, Err: err}).Error()))
		return
	}
	for fd := range n {
		_ = syscall.Close(fd) // others wait for their end
	}
	tell([]byte(startedByKeeper))
	go func() {
		<-end
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}()
	_, _ = syscall.Read(sock, make([]byte, 1)) // it has been seen
	status := reapUntil(pid)
	sweep()
	tell(binary.LittleEndian.AppendUint32(nil, uint32(status)))
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
			if pid, err := strconv.Atoi(field); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
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
