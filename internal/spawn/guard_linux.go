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
	groups map[int]chan struct{} // closed when a guard knows the group
	sock   int                   // -1 while there is no guard
	pid    int                   // likewise 0
	ending chan struct{}         // closed by end; nil while nothing runs
	gone   chan struct{}         // closed when run has returned
}

const (
	opAdd    = 1
	opRemove = 2
	opSize   = 8

	guardSock  = 3
	guardPidfd = 4
)

// add puts a group under guard; the first one starts the guard, beside us. The
// channel is closed when it is, or when no guard can be started just now.
func (g *guardian) add(pgid int, inTurn func(func())) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.groups == nil {
		g.groups = map[int]chan struct{}{}
	}
	known := make(chan struct{})
	g.groups[pgid] = known
	switch {
	case g.gone == nil:
		g.gone, g.ending = make(chan struct{}), make(chan struct{})
		go g.run(g.ending, g.gone, inTurn)
	case g.pid != 0:
		g.tell(opAdd, pgid)
		close(known)
	}
	return known
}

// tellAll tells a new guard of all groups, or those who wait that there is none.
func (g *guardian) tellAll() {
	for pgid, known := range g.groups {
		g.tell(opAdd, pgid)
		select {
		case <-known:
		default:
			close(known)
		}
	}
}

func (g *guardian) remove(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.groups[pgid]; ok {
		select {
		case <-known:
		default:
			close(known)
		}
		delete(g.groups, pgid)
	}
	g.tell(opRemove, pgid)
}

// tell never blocks: a guard that does not read is replaced.
func (g *guardian) tell(op, pgid int) {
	if g.pid == 0 {
		return
	}
	var m [opSize]byte
	binary.LittleEndian.PutUint32(m[:], uint32(op))
	binary.LittleEndian.PutUint32(m[4:], uint32(pgid))
	if err := unix.Sendto(g.sock, m[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil); err != nil {
		_ = syscall.Kill(g.pid, syscall.SIGKILL)
	}
}

// run keeps a guard running until end. It waits for the guard on the poller.
func (g *guardian) run(ending, gone chan struct{}, inTurn func(func())) {
	defer close(gone)
	for pause := retryGuard; ; pause = min(2*pause, slowRetry) {
		if pidfd, err := g.launch(inTurn); err == nil {
			awaitExit(pidfd)
			g.bury()
			_ = pidfd.Close()
		}
		select {
		case <-ending:
			return
		case <-time.After(pause): // it ended by itself, or could not be started
		}
	}
}

// How long it takes until a guard is started anew.
const (
	retryGuard = 20 * time.Millisecond
	slowRetry  = 5 * time.Second
)

// bury reaps a guard that has ended.
func (g *guardian) bury() {
	g.mu.Lock()
	defer g.mu.Unlock()
	collect(g.pid)
	_ = syscall.Close(g.sock)
	g.pid, g.sock = 0, -1
}

// launch starts a guard and tells it all groups. It takes its turn behind the
// workers that are being started, and holds none of them up.
func (g *guardian) launch(inTurn func(func())) (pidfd *os.File, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(pair[1])
	var pid int
	inTurn(func() { pid, pidfd, err = startGuard(pair[1]) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		_ = syscall.Close(pair[0])
		g.tellAll()
		return nil, err
	}
	g.pid, g.sock = pid, pair[0]
	if len(g.groups) == 0 { // there may be nobody to guard any more
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	g.tellAll() // it need not be up: what is in the socket will be read
	return pidfd, nil
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
		Env:   environ(os.Environ(), marker+"="+roleGuard, "GOMAXPROCS=1"),
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
	if gone != nil {
		close(g.ending)
	}
	if g.pid != 0 {
		_ = syscall.Kill(g.pid, syscall.SIGKILL)
	}
	g.mu.Unlock()
	if gone == nil {
		return
	}
	<-gone
	g.mu.Lock()
	g.gone, g.ending = nil, nil
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

// A guard never gets further than this: the program's main is not for it, nor are
// the package variables of what imports this package. (Packages that do not, and
// whose import path sorts before this one's, are initialized before.)
func init() {
	if role == roleGuard {
		runGuard()
		syscall.Exit(0) // at once: nothing is to be flushed
	}
}
