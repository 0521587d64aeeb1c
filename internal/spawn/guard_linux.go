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

// The guard is a process that briefly outlives this one. It holds our pidfd and the IDs of our
// children's process groups, and kills the groups when we die. The parent-death signal ends the
// children themselves sooner, but not the processes that the children have started.
type guardian struct {
	mu     sync.Mutex
	groups map[int]chan struct{} // a group's channel is closed when a guard knows the group
	leaves map[string]bool       // the path prefixes of our control groups
	sock   int                   // -1 while there is no guard
	pid    int                   // 0 while there is no guard
	pidfd  *os.File              // nil while there is no guard
	ending chan struct{}         // closed by end; nil while run does not run
	gone   chan struct{}         // closed when run has returned
	wanted chan struct{}         // tells run that a start waits for a guard; capacity 1
}

// A message consists of its kind in four bytes, followed by IDs of groups or the path prefix of
// control groups.
const (
	opAdd    = 1
	opRemove = 2
	opCgroup = 3
	opKill   = 4
	// opEnd has no IDs. It tells the guard to end without killing its groups.
	opEnd  = 5
	opHead = 4
	opMax  = 64 << 10

	guardSock  = 3
	guardPidfd = 4
)

// add puts a group under guard. The first call starts the guard. The returned channel is closed
// when the guard knows the group, or when no guard can be started at present.
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

// begin makes sure that run is running, which starts a guard. The caller must hold g.mu.
func (g *guardian) begin(inTurn func(func())) {
	if g.gone == nil {
		g.gone, g.ending, g.wanted = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
		go g.run(g.ending, g.gone, g.wanted, inTurn)
	}
}

// forCgroups starts a guard even if there is no process group for it to kill. For processes with
// keepers, the guard only ends their control groups.
func (g *guardian) forCgroups(inTurn func(func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin(inTurn)
}

// addCgroup makes the guard end our control groups below dir when we die. It must be called before
// a process joins such a group.
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

// tellAll sends all groups to a new guard. It releases the starts that wait for a guard, even if no
// guard could be started. The caller must hold g.mu.
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

// endGroup asks the guard to kill a group that we are not allowed to kill. The guard still runs as
// the user that started it.
func (g *guardian) endGroup(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(opKill, pgid)
}

// tell sends the guard a message about a group. It never blocks: a guard that does not read is
// killed and replaced.
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

// kill kills the guard. If that is not allowed because our user has changed, kill asks the guard to
// end. The caller must hold g.mu.
func (g *guardian) kill() {
	if g.pid != 0 && signalTo(g.pidfd, g.pid, syscall.SIGKILL) != nil {
		_ = unix.Sendto(g.sock, binary.LittleEndian.AppendUint32(nil, opEnd), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}
}

// run keeps a guard running until end is called. It waits for the guard's death on the poller.
func (g *guardian) run(ending, gone, wanted chan struct{}, inTurn func(func())) {
	defer close(gone)
	for pause := time.Duration(0); ; {
		begun := time.Now()
		if pidfd, err := g.launch(inTurn); err == nil {
			sys.AwaitDeath(pidfd)
			g.reap()
		}
		pause = nextPause(pause, time.Since(begun))
		select {
		case <-ending:
			return
		case <-wanted: // a start must not wait, however often guards have ended
		case <-time.After(pause): // the guard ended by itself or could not be started
		}
	}
}

// retryGuard is the first pause before a guard is restarted. It is a variable so that tests can
// change it.
var retryGuard = 20 * time.Millisecond

// slowRetry is the longest pause before a guard is restarted. If a guard has lived for longer than
// longLife, the next pause is short again.
const (
	slowRetry = 5 * time.Second
	longLife  = 500 * time.Millisecond
)

// nextPause returns the pause before the next guard is started. The arguments are the previous
// pause, and how long the last guard lived.
func nextPause(pause, life time.Duration) time.Duration {
	if pause == 0 || life > longLife {
		return retryGuard
	}
	return min(2*pause, slowRetry)
}

// reap reaps a guard that has ended.
func (g *guardian) reap() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = sys.Reap(g.pidfd, g.pid)
	_ = syscall.Close(g.sock)
	_ = g.pidfd.Close()
	g.pid, g.sock, g.pidfd = 0, -1, nil
}

// launch starts a guard and sends it all groups. The guard is started after the workers whose
// starts are waiting, so that it does not delay them.
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
	case <-g.ending: // there is nothing left to guard
		g.kill()
	default:
	}
	g.tellAll() // the guard reads these messages once it runs
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
	// One processor is enough, because the guard has little to do.
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   environ(os.Environ(), "GOMAXPROCS=1"),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), uintptr(sock)},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &fd},
	}

	if self >= 0 {
		attr.Files = append(attr.Files, uintptr(self))
	} else { // pidfd_open is refused, for example by an older seccomp profile
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

// end stops the guard and returns when it has been reaped.
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

// If the guard has no pidfd of the parent, a signal reports the parent's death. The signal has no
// effect on a guard that does not catch it yet. So the guard also compares its parent's ID with the
// ID in this variable.
const (
	deathNotice = syscall.SIGWINCH
	guardsVar   = "MP_PROCESS_GUARDS"
)

// deathOfParent returns a descriptor that becomes readable when the parent is dead.
func deathOfParent() int {
	parent, err := strconv.Atoi(os.Getenv(guardsVar))
	if err != nil {
		syscall.CloseOnExec(guardPidfd)
		return guardPidfd
	}
	var pair [2]int
	if err := syscall.Pipe2(pair[:], syscall.O_CLOEXEC); err != nil {
		return -1 // the socket's end reports the death, too
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

// runGuard runs the guard process. It returns when the parent is dead or has closed the socket. A
// living parent closes the socket only when it executes another program.
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

// charge contains the groups and control groups that a guard must end.
type charge struct {
	groups map[int]bool
	leaves map[string]bool
}

// read reads the messages in the socket and reports whether the socket is still open.
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

// A guard never gets beyond this function, so it runs neither the program's main nor the
// initialization of packages that import this one. Packages that do not import this one are
// initialized earlier if their import paths sort before this package's.
func init() {
	if role == roleGuard {
		runGuard()
		syscall.Exit(0) // at once: there is nothing to flush
	}
}
