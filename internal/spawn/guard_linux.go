package spawn

import (
	"encoding/binary"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The guard is a process that outlives this one for a moment: it holds our
// pidfd and the numbers of our children's process groups, and kills the groups
// when we die. The parent-death signal reaches the children themselves sooner,
// but not what they have started.
type guardian struct {
	mu     sync.Mutex
	groups map[int]bool
	sock   *os.File // nil while there is no guard
	gone   chan struct{}
	ending bool
}

const (
	opAdd    = 1
	opRemove = 2
	opSize   = 8

	guardSock  = 3
	guardPidfd = 4
)

// add puts a group under guard; the first one starts the guard, beside us.
func (g *guardian) add(pgid int, inTurn func(func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.groups == nil {
		g.groups = map[int]bool{}
	}
	g.groups[pgid] = true
	if g.sock != nil {
		g.tell(opAdd, pgid)
		return
	}
	if g.gone == nil {
		g.gone = make(chan struct{})
		go g.run(g.gone, inTurn)
	}
}

func (g *guardian) remove(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, pgid)
	g.tell(opRemove, pgid)
}

// tell never blocks for long: the guard does nothing but read.
func (g *guardian) tell(op, pgid int) {
	if g.sock == nil {
		return
	}
	var m [opSize]byte
	binary.LittleEndian.PutUint32(m[:], uint32(op))
	binary.LittleEndian.PutUint32(m[4:], uint32(pgid))
	_, _ = g.sock.Write(m[:])
}

// run keeps a guard running until end. It waits for the guard on the poller.
func (g *guardian) run(gone chan struct{}, inTurn func(func())) {
	defer close(gone)
	for g.wanted() {
		pidfd, pid, err := g.launch(inTurn)
		if err != nil {
			time.Sleep(retryGuard)
			continue
		}
		awaitExit(pidfd)
		collect(pid)
		_ = pidfd.Close()
	}
}

// retryGuard is how long to wait when the system has no room for a guard now.
const retryGuard = 50 * time.Millisecond

// wanted forgets a guard that has ended and reports whether one is needed.
func (g *guardian) wanted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sock != nil {
		_ = g.sock.Close()
		g.sock = nil
	}
	return len(g.groups) > 0
}

// launch starts a guard and tells it all groups. It takes its turn behind the
// workers that are being started, and holds none of them up.
func (g *guardian) launch(inTurn func(func())) (pidfd *os.File, pid int, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	defer syscall.Close(pair[1])
	_ = syscall.SetNonblock(pair[0], true)
	sock := os.NewFile(uintptr(pair[0]), "mp-guard")
	inTurn(func() { pid, pidfd, err = startGuard(pair[1]) })
	if err != nil {
		_ = sock.Close()
		return nil, 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ending {
		_ = sock.Close() // which ends it
		return pidfd, pid, nil
	}
	g.sock = sock
	for pgid := range g.groups {
		g.tell(opAdd, pgid)
	}
	return pidfd, pid, nil
}

func startGuard(sock int) (pid int, pidfd *os.File, err error) {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return 0, nil, err
	}
	defer syscall.Close(self)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	fd := -1
	// GOMAXPROCS=1 and a small heap: it has nothing to do.
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   append(os.Environ(), marker+"="+roleGuard, "GOMAXPROCS=1"),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), uintptr(sock), uintptr(self)},
		Sys:   &syscall.SysProcAttr{Setpgid: true, PidFD: &fd},
	}
	pid, _, err = syscall.StartProcess("/proc/self/exe", []string{"mp-guard"}, attr)
	if err != nil {
		return 0, nil, err
	}
	pidfd, err = pollable(fd, pid)
	return pid, pidfd, err
}

// end lets the guard go and returns when it has been reaped.
func (g *guardian) end() {
	g.mu.Lock()
	gone := g.gone
	clear(g.groups)
	g.ending = true
	if g.sock != nil {
		_ = g.sock.Close()
		g.sock = nil
	}
	g.mu.Unlock()
	if gone != nil {
		<-gone
	}
	g.mu.Lock()
	g.gone, g.ending = nil, false
	g.mu.Unlock()
}

// runGuard is the guard process. It ends when its parent has closed the
// socket, having no children left, or when the parent is dead.
func runGuard() {
	for fd := range 5 {
		syscall.CloseOnExec(fd)
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	groups := map[int]bool{}
	for open := true; open; {
		fds := []unix.PollFd{{Fd: guardSock, Events: unix.POLLIN}, {Fd: guardPidfd, Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		dead := fds[1].Revents != 0
		if fds[0].Revents != 0 || dead {
			open = readOps(groups)
		}
		if dead {
			break
		}
	}
	for pgid := range groups {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
}

// readOps takes what is in the socket and reports whether it is still open.
func readOps(groups map[int]bool) bool {
	var buf [512 * opSize]byte
	for {
		n, _, err := unix.Recvfrom(guardSock, buf[:], unix.MSG_DONTWAIT)
		if err == unix.EAGAIN || err == unix.EINTR {
			return true
		}
		if err != nil || n <= 0 {
			return false
		}
		for b := buf[:n]; len(b) >= opSize; b = b[opSize:] {
			pgid := int(int32(binary.LittleEndian.Uint32(b[4:])))
			if binary.LittleEndian.Uint32(b) == opAdd && pgid > 1 {
				groups[pgid] = true
			} else {
				delete(groups, pgid)
			}
		}
	}
}

// A guard never gets further than this: neither the program's package
// variables nor its main are for it.
func init() {
	if role == roleGuard {
		runGuard()
		syscall.Exit(0) // at once: nothing is to be flushed
	}
}
