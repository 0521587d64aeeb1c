package spawn

import (
	"encoding/binary"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// The guard is a process that outlives this one for a moment: it holds our
// pidfd and the numbers of our children's process groups, and kills the groups
// when we die. The parent-death signal reaches the children themselves sooner,
// but not what they have started.
type guardian struct {
	mu     sync.Mutex
	groups map[int]chan struct{} // closed when a guard knows the group
	leaves map[string]bool       // how the paths of our control groups begin
	sock   int                   // -1 while there is no guard
	pid    int                   // likewise 0
	pidfd  *os.File              // likewise nil
	ending chan struct{}         // closed by end; nil while nothing runs
	gone   chan struct{}         // closed when run has returned
	wanted chan struct{}         // tells run that a start waits for a guard; capacity 1
}

// Messages: the kind in four bytes, then numbers of groups, or how the paths of
// control groups begin.
const (
	opAdd    = 1
	opRemove = 2
	opCgroup = 3
	opKill   = 4
	opEnd    = 5 // without numbers: the guard is to end, and to leave its groups alone
	opHead   = 4
	opMax    = 64 << 10

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
	g.begin(inTurn)
	if g.pid != 0 {
		g.tell(opAdd, pgid)
		close(known)
		return known
	}
	select {
	case g.wanted <- struct{}{}:
	default:
	}
	return known
}

// begin starts a guard unless there is one; under the lock.
func (g *guardian) begin(inTurn func(func())) {
	if g.gone == nil {
		g.gone, g.ending, g.wanted = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
		go g.run(g.ending, g.gone, g.wanted, inTurn)
	}
}

// forCgroups starts a guard though there is no group for it: processes with keepers
// leave it but their control groups.
func (g *guardian) forCgroups(inTurn func(func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin(inTurn)
}

// addCgroup has the guard end our groups below dir when we die. It comes before
// the first process in one is added.
func (g *guardian) addCgroup(dir string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaves == nil {
		g.leaves = map[string]bool{}
	}
	if prefix := filepath.Join(dir, leafPrefix()); !g.leaves[prefix] {
		g.leaves[prefix] = true
		g.send(opCgroup, []byte(prefix))
	}
}

// tellAll tells a new guard of all groups, or those who wait that there is none.
func (g *guardian) tellAll() {
	for prefix := range g.leaves {
		g.send(opCgroup, []byte(prefix))
	}
	g.send(opAdd, numbers(slices.Collect(maps.Keys(g.groups))...))
	for _, known := range g.groups {
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

// endGroup has the guard kill a group that we may not kill: it has the user that we had when it was started.
func (g *guardian) endGroup(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(opKill, pgid)
}

// tell never blocks: a guard that does not read is replaced.
func (g *guardian) tell(op, pgid int) {
	g.send(op, numbers(pgid))
}

func numbers(pgids ...int) (b []byte) {
	for _, pgid := range pgids {
		b = binary.LittleEndian.AppendUint32(b, uint32(pgid))
	}
	return b
}

func (g *guardian) send(op int, what []byte) {
	if g.pid == 0 {
		return
	}
	m := append(binary.LittleEndian.AppendUint32(nil, uint32(op)), what...)
	if err := unix.Sendto(g.sock, m, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil); err != nil {
		g.kill()
	}
}

// kill kills the guard; under the lock.
func (g *guardian) kill() {
	if g.pid != 0 && signalTo(g.pidfd, g.pid, syscall.SIGKILL) != nil { // we are another user by now
		_ = unix.Sendto(g.sock, binary.LittleEndian.AppendUint32(nil, opEnd), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}
}

// run keeps a guard running until end. It waits for the guard on the poller.
func (g *guardian) run(ending, gone, wanted chan struct{}, inTurn func(func())) {
	defer close(gone)
	for pause := time.Duration(0); ; {
		begun := time.Now()
		if pidfd, err := g.launch(inTurn); err == nil {
			sys.AwaitDeath(pidfd)
			g.bury()
		}
		pause = nextPause(pause, time.Since(begun))
		select {
		case <-ending:
			return
		case <-wanted: // a start does not wait, however often guards have ended
		case <-time.After(pause): // it ended by itself, or could not be started
		}
	}
}

// retryGuard is how long it takes until a guard is started anew; a variable for tests.
var retryGuard = 20 * time.Millisecond

// How long that may become, and how long a guard must live so that those before it do not count.
const (
	slowRetry = 5 * time.Second
	longLife  = 500 * time.Millisecond
)

// nextPause is the time before the next guard, after one that has lived so long.
func nextPause(pause, life time.Duration) time.Duration {
	if pause == 0 || life > longLife {
		return retryGuard
	}
	return min(2*pause, slowRetry)
}

// bury reaps a guard that has ended.
func (g *guardian) bury() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = sys.Reap(g.pidfd, g.pid)
	_ = syscall.Close(g.sock)
	_ = g.pidfd.Close()
	g.pid, g.sock, g.pidfd = 0, -1, nil
}

// launch starts a guard and tells it all groups. It takes its turn behind the
// workers that are being started, and holds none of them up.
func (g *guardian) launch(inTurn func(func())) (pidfd *os.File, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
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
	g.pid, g.sock, g.pidfd = pid, pair[0], pidfd
	select {
	case <-g.ending: // there is nobody to guard any more
		g.kill()
	default:
	}
	g.tellAll() // it need not be up: what is in the socket will be read
	return pidfd, nil
}

func startGuard(sock int) (pid int, pidfd *os.File, err error) {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		defer syscall.Close(self)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	fd := -1
	// GOMAXPROCS=1 and a small heap: it has nothing to do.
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   environ(os.Environ(), "GOMAXPROCS=1"),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), uintptr(sock)},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &fd},
	}
	if self >= 0 {
		attr.Files = append(attr.Files, uintptr(self))
	} else { // pidfd_open is refused, as by older seccomp profiles
		attr.Env = append(attr.Env, guardsVar+"="+strconv.Itoa(os.Getpid()))
		attr.Sys.Pdeathsig = deathNotice
	}
	attr.Env = append(attr.Env, marker+"="+given(roleGuard, len(attr.Files)))
	pid, _, err = syscall.StartProcess("/proc/self/exe", []string{guardName}, attr)
	if err != nil {
		return 0, nil, err
	}
	if pidfd, err = pollable(fd, pid); err != nil {
		abandon(pid)
	}
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
	g.kill()
	g.mu.Unlock()
	if gone == nil {
		return
	}
	<-gone
	g.mu.Lock()
	g.gone, g.ending, g.wanted = nil, nil, nil
	g.mu.Unlock()
}

// Where there is no pidfd of the parent, a signal tells its death. It does nothing to a
// guard that has not come far enough to catch it, and by this variable, its number, which is
// not the parent's any more then.
const (
	deathNotice = syscall.SIGWINCH
	guardsVar   = "MP_PROCESS_GUARDS"
)

// deathOfParent returns a descriptor that can be read when the parent is dead.
func deathOfParent() int {
	parent, err := strconv.Atoi(os.Getenv(guardsVar))
	if err != nil {
		syscall.CloseOnExec(guardPidfd)
		return guardPidfd
	}
	var pair [2]int
	if err := syscall.Pipe2(pair[:], syscall.O_CLOEXEC); err != nil {
		return -1 // the socket's end tells too
	}
	notice := make(chan os.Signal, 1)
	signal.Notify(notice, deathNotice)
	go func() {
		for os.Getppid() == parent {
			<-notice
		}
		_ = syscall.Close(pair[1])
	}()
	return pair[0]
}

// runGuard is the guard process. It ends when the parent is dead, or has closed the socket,
// which it does only if another program takes its place.
func runGuard() {
	for fd := range guardSock + 1 {
		syscall.CloseOnExec(fd)
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	death := deathOfParent()
	charge := charge{groups: map[int]bool{}, leaves: map[string]bool{}}
	for open := true; open; {
		fds := []unix.PollFd{{Fd: guardSock, Events: unix.POLLIN}, {Fd: int32(death), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		dead := fds[1].Revents != 0
		if fds[0].Revents != 0 || dead {
			open = charge.read()
		}
		if dead {
			break
		}
	}
	for pgid := range charge.groups {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	for prefix := range charge.leaves {
		clearLeaves(prefix)
	}
}

// charge is what a guard has to end.
type charge struct {
	groups map[int]bool
	leaves map[string]bool
}

// read takes what is in the socket and reports whether it is still open.
func (c charge) read() bool {
	var buf [opMax]byte
	for {
		n, _, err := unix.Recvfrom(guardSock, buf[:], unix.MSG_DONTWAIT)
		if err == unix.EAGAIN || err == unix.EINTR {
			return true
		}
		if err != nil || n < opHead {
			return false
		}
		op, what := binary.LittleEndian.Uint32(buf[:]), buf[opHead:n]
		switch op {
		case opCgroup:
			c.leaves[string(what)] = true
			continue
		case opEnd:
			clear(c.groups)
			clear(c.leaves)
			return false
		}
		for ; len(what) >= 4; what = what[4:] {
			pgid := int(int32(binary.LittleEndian.Uint32(what)))
			switch {
			case op == opAdd && pgid > 1:
				c.groups[pgid] = true
			case op == opKill && c.groups[pgid]:
				_ = syscall.Kill(-pgid, syscall.SIGKILL)
			case op == opRemove:
				delete(c.groups, pgid)
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
