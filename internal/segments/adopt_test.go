//go:build linux

package segments

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A sleeper is a process that a client has adopted. It sleeps in a session of its own.
type sleeper struct {
	Child
	cmd   *exec.Cmd
	ended chan error
}

// adoptSleeper starts a process and makes a client adopt it. The process ends with the test.
func (p *process) adoptSleeper() (*sleeper, error) {
	t := p.w.t
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(theirs)
	s := &sleeper{cmd: exec.Command("sleep", "1000"), ended: make(chan error, 1)}
	s.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}

	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	pidfd, err := unix.PidfdOpen(s.cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}

	s.Child, err = p.Adopt(ours, pidfd, nil)
	return s, err
}

// A living child is killed when its parent dies, even if the parent has said that the child has
// departed.
func TestDepartedChildrenAreKilled(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	var children []*sleeper
	for range 3 {
		c, err := p.adoptSleeper()
		if err != nil {
			t.Fatal(err)
		}
		c.Depart()
		children = append(children, c)
	}

	p.die()
	for _, c := range children {
		select {
		case <-c.ended:
		case <-time.After(never):
			t.Fatal("it lives")
		}
	}

	until(t, "all are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
}

// A living child counts, even if its parent has said that the child has departed. A child that is
// dead and has departed does not count.
func TestDepartedChildrenCount(t *testing.T) {
	w := newWorld(t)
	w.s.mu.Lock()
	w.s.slots = budget{most: 20, reserve: 4}
	most := w.s.slots.alone()
	w.s.mu.Unlock()
	p, other := w.start(), w.start()
	var children []*sleeper
	for range 20 {
		c, err := p.adoptSleeper()
		if err != nil {
			break
		}
		c.Depart()
		children = append(children, c)
	}

	if n := len(children); n == 0 || n > most {
		t.Fatalf("%d children: it may have %d", n, most)
	}
	if _, err := other.adoptSleeper(); err != nil {
		t.Errorf("nothing is left for another: %v", err)
	}

	for _, c := range children {
		_ = c.cmd.Process.Kill()
	}
	until(t, "they are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 3 })
	if _, err := p.adoptSleeper(); err != nil {
		t.Errorf("the dead count: %v", err)
	}
}

// The children of a client's children, and the segments that all of them publish, count for the
// client.
func TestTreesHaveOneBudget(t *testing.T) {
	w := newWorld(t)
	w.s.mu.Lock()
	w.s.slots = budget{most: 20, reserve: 4}
	w.s.files = budget{most: 400, reserve: 80, sure: 8}
	slots, files := w.s.slots.alone(), w.s.files.alone()
	w.s.mu.Unlock()
	p := w.start()
	type relative struct {
		*Remote
		died chan struct{}
	}

	var tree []relative
	defer func() {
		for _, r := range tree {
			_ = r.conn.file.Close()
			_ = r.table.Mailboxes().Close()
			close(r.died)
		}
	}()

	parent := w.client(p.Remote)
	for range 20 { // each is the child of the previous one
		ours, theirs, err := Pair()
		if err != nil {
			t.Fatal(err)
		}

		file, err := os.Open(os.DevNull) // instead of a pidfd, so that no process is killed
		if err != nil {
			t.Fatal(err)
		}
		w.s.mu.Lock()
		w.s.charge(parent, perChild)
		w.s.mu.Unlock()
		died := make(chan struct{})
		if err := w.s.adopt(&client{parent: parent, pidfd: file}, ours, died); err != nil {
			_, _ = unix.Close(theirs), file.Close()
			if !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			break
		}
		r, err := Connect(theirs, func(uint64) {})
		if err != nil {
			t.Fatal(err)
		}
		tree = append(tree, relative{r, died})
		parent = w.client(r)
	}

	if n := len(tree); n == 0 || n > slots {
		t.Errorf("%d clients below one: there may be %d", n, slots)
	}
	n, file := 0, null(t)
	for i, r := range tree {
		for j := range uint64(files) {
			fd := dupOf(t, file)
			if err := r.Publish(1000*uint64(i)+j, fd, 0, false); err != nil {
				_ = unix.Close(fd)
				break
			}
			n++
		}
	}

	if n == 0 || n > files {
		t.Errorf("%d files of one tree: there may be %d", n, files)
	}
}

// A client that takes all that it can leaves something for its parent, and for its parent's other
// children.
func TestRelativesAreLeftSomething(t *testing.T) {
	w := newWorld(t)
	w.s.mu.Lock()
	w.s.files = budget{most: 400, reserve: 80}
	w.s.mu.Unlock()
	p := w.start()
	bad, badDied := adoptedBy(t, w.s, w.client(p.Remote))
	good, goodDied := adoptedBy(t, w.s, w.client(p.Remote))
	file, id := null(t), uint64(0)
	publishes := func(r *Remote) bool {
		id++
		fd := dupOf(t, file)
		err := r.Publish(id, fd, 0, false)
		if err != nil {
			_ = unix.Close(fd)
		}
		return err == nil
	}

	for publishes(bad) {
	}
	for who, r := range map[string]*Remote{"its sibling": good, "its parent": p.Remote, "another": w.start().Remote} {
		if !publishes(r) {
			t.Errorf("nothing is left for %s", who)
		}
	}

	for r, died := range map[*Remote]chan struct{}{bad: badDied, good: goodDied} {
		_ = r.conn.file.Close()
		_ = r.table.Mailboxes().Close()
		close(died)
	}
}

// A pidfd that arrives without a socket is closed once. A second close by the garbage collector
// would hit another descriptor that has received the same number.
func TestPidfdsAreClosedOnce(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	child, err := p.adoptSleeper()
	if err != nil {
		t.Fatal(err)
	}

	const many = 20
	for range many {
		pidfd, err := unix.PidfdOpen(child.cmd.Process.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := p.ask(message{op: opPidfd, fd: pidfd}); err != nil || m.ok {
			t.Fatal("adopted without a socket: ", err)
		}
		_ = unix.Close(pidfd)
	}

	c := w.client(p.Remote)
	until(t, "they are closed", func() bool { return c.closer.Pending() == 0 })
	var fds []int
	file := null(t)
	for range 2 * many { // descriptors that get their numbers
		fds = append(fds, dupOf(t, file))
	}

	for range 2 {
		collected := make(chan struct{})
		runtime.SetFinalizer(&[16]int{}, func(*[16]int) { close(collected) })
		until(t, "the garbage is collected", func() bool {
			runtime.GC()
			select {
			case <-collected:
				return true
			default:
				return false
			}
		})
	}

	for _, fd := range fds {
		if err := unix.Close(fd); err != nil {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
}

// client returns the server's side of a client.
func (w *world) client(r *Remote) *client {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.clients[r.WaitTable().Slot()]
}

// The root process learns only once that a child has departed, however often the parent says so.
// Each time it is told, it looks at all of its segments.
func TestDepartedOnce(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	c, err := p.adoptSleeper()
	if err != nil {
		t.Fatal(err)
	}

	for range 100 {
		c.Depart()
	}
	if has(t, p, 1) { // it is answered, so all earlier messages have been handled
		t.Error("a segment that nobody has made")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.gone); n != 1 {
		t.Errorf("the root process was told %d times", n)
	}
}
