//go:build linux

package segments

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newServer(t *testing.T) *Server {
	t.Helper()
	s, err := NewServer(func(int, []uint64) {}, func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	s.anyID = true
	t.Cleanup(s.Close)
	return s
}

// join adopts a client that lives until died is closed.
func join(t *testing.T, s *Server) (r *Remote, died chan struct{}) {
	t.Helper()
	died = make(chan struct{})
	r, err := Connect(joinRaw(t, s, died), func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	return r, died
}

func joinRaw(t *testing.T, s *Server, died chan struct{}) (fd int) {
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Adopt(ours, -1, died); err != nil {
		t.Fatal(err)
	}
	return theirs
}

func idle(t *testing.T, s *Server) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); !s.Idle(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d segments and %d clients are left", len(s.segments), s.count)
		}
	}
}

func null(t *testing.T) int {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return int(f.Fd())
}

// dupOf duplicates a descriptor for a function that takes ownership of it.
func dupOf(t *testing.T, fd int) int {
	t.Helper()
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// within fails the test if f takes too long.
func within(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Second):
		t.Fatal("it hangs")
		return nil
	}
}

// A client may publish any number of segments one after another, but may have only a limited number
// at a time.
func TestSegmentsAreCountedWhileTheyLast(t *testing.T) {
	s := newServer(t)
	r, died := join(t, s)
	fd := null(t)
	most := uint64(min(maxSegments, s.files.alone()))
	for id := range most + 10 {
		if err := r.Publish(id, dupOf(t, fd), 0, false); err != nil {
			t.Fatal(id, err)
		}
		if id%2 == 0 {
			r.Destroy(id)
		} else {
			s.Take(id)
			s.Destroy(id)
		}
	}

	for id := range most {
		if err := r.Publish(id, dupOf(t, fd), 0, false); err != nil {
			t.Fatal(id, err)
		}
	}

	if err := r.Publish(most, dupOf(t, fd), 0, false); err == nil {
		t.Error("a client has more than it may")
	}
	s.clients[r.WaitTable().Slot()].Depart()
	close(died)
	idle(t, s)
	until(t, "nothing is counted that is not there", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.files.used == 0 && s.root.files == 0
	})
}

// adoptedBy makes a client adopt another one, which lives until died is closed.
func adoptedBy(t *testing.T, s *Server, parent *client) (child *Remote, died chan struct{}) {
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}

	died = make(chan struct{})
	c := &client{parent: parent}
	f, err := os.Open(os.DevNull) // instead of a pidfd, so that no process is killed
	if err != nil {
		t.Fatal(err)
	}

	c.pidfd = f
	s.mu.Lock()
	s.charge(parent, perChild)
	s.mu.Unlock()
	if err := s.adopt(c, ours, died); err != nil {
		t.Fatal(err)
	}
	child, err = Connect(theirs, func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	return child, died
}

// A client that dies together with its children can no longer say that it has read their messages.
func TestChildrenOfTheDeadLeaveNothing(t *testing.T) {
	for _, childFirst := range []bool{true, false} {
		s := newServer(t)
		r, died := join(t, s)
		s.mu.Lock()
		parent := s.clients[r.WaitTable().Slot()]
		s.mu.Unlock()
		child, childDied := adoptedBy(t, s, parent)
		if err := child.Publish(1, dupOf(t, null(t)), 0, false); err != nil {
			t.Fatal(err)
		}

		first, second := died, childDied
		if childFirst {
			first, second = second, first
		}

		close(first)
		time.Sleep(10 * time.Millisecond)
		close(second)
		idle(t, s)
	}
}

// If a client's descriptor was lost because the root process could not have more, the client gets
// an answer and can go on. The connection of a client that sends garbage is closed.
func TestNobodyWaitsForAnswers(t *testing.T) {
	s := newServer(t)
	r, died := join(t, s)
	defer idle(t, s)
	defer close(died)

	for _, with := range [][2]int{{-1, -1}, {null(t), -1}, {-1, null(t)}} {
		err := within(t, func() error {
			_, err := r.ask(message{op: opAdopt, fd: with[0]}, message{op: opPidfd, fd: with[1]})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	if err := within(t, func() error { return r.Publish(1, dupOf(t, null(t)), 0, false) }); err != nil {
		t.Error(err)
	}
	r.Destroy(1)
	if err := within(t, func() error { _, err := r.ask(message{op: 99, fd: -1}); return err }); err == nil {
		t.Error("nonsense was answered")
	}
}

// A process that still writes to a dead client's socket does not prevent the cleanup.
func TestTheDeadAreReaped(t *testing.T) {
	s := newServer(t)
	died, stop := make(chan struct{}), make(chan struct{})
	fd := joinRaw(t, s, died)
	written := make(chan struct{})
	go func() {
		defer close(written)
		b := message{op: opDrop, fd: -1}.encode()
		for {
			if err := unix.Sendmsg(fd, b, nil, nil, unix.MSG_NOSIGNAL); err != nil {
				return
			}

			select {
			case <-stop:
				return
			default:
			}
		}
	}()

	time.Sleep(20 * time.Millisecond)
	close(died)
	defer func() { close(stop); <-written; _ = unix.Close(fd) }()
	idle(t, s)
}

// A client that sends requests and does not read the answers costs the root process no descriptors.
func TestWhoDoesNotReadGetsNoMore(t *testing.T) {
	s := newServer(t)
	died := make(chan struct{})
	fd := joinRaw(t, s, died)
	defer unix.Close(fd)
	if err := s.Publish(1, dupOf(t, null(t)), 0, false); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}

	before := descriptors(t)
	ask := message{op: opFetch, id: 1, fd: -1}.encode()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		if err := unix.Sendmsg(fd, ask, nil, nil, unix.MSG_NOSIGNAL); err != nil {
			time.Sleep(time.Millisecond)
		}
	}

	if n := descriptors(t) - before; n > 2*maxUnread {
		t.Errorf("%d descriptors wait to be read", n)
	}
	close(died)
	s.Destroy(1)
	idle(t, s)
	// The socket is closed too, so there is one descriptor less than before.
	for limit := time.Now().Add(5 * time.Second); descriptors(t) > before-1; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d descriptors are left", descriptors(t)-before+1)
		}
	}
}

// A segment that a process can shrink is not an arena.
func TestArenasAreSealed(t *testing.T) {
	s := newServer(t)
	r, died := join(t, s)
	defer idle(t, s)
	defer close(died)

	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(1, dupOf(t, fd), 1<<20, true); err == nil {
		t.Error("an arena that can be made smaller is kept")
	}
	if err := r.Publish(2, dupOf(t, fd), 0, true); err == nil {
		t.Error("an arena without a size is kept")
	}

	r.Destroy(1)
	r.Destroy(2)
}

// After a million processes the tags wrap around. No process gets a tag that the root or a living
// process has, because it could then use the numbers of that process's segments.
func TestTagsGoRound(t *testing.T) {
	w := newWorld(t)
	old := []*process{w.start(), w.start()}
	w.s.mu.Lock()
	w.s.lastTag = 1<<TagBits - 2
	w.s.mu.Unlock()
	tags := map[uint64]bool{w.s.Tag(): true}
	for _, p := range append(old, w.start(), w.start(), w.start()) {
		if tag := p.Tag(); tags[tag] || tag >= 1<<TagBits {
			t.Errorf("the tag %d is given twice, or too large", tag)
		}
		tags[p.Tag()] = true
	}
}
