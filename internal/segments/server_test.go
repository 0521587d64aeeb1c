//go:build linux

package segments

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// A world is a server with clients, all in this process.
type world struct {
	t *testing.T
	s *Server

	mu     sync.Mutex
	reaped []int
	gone   []uint64 // for the root
}

func newWorld(t *testing.T) *world {
	t.Helper()
	before := descriptors(t)
	w := &world{t: t}
	s, err := NewServer(
		func(slot int, _ []uint64) { w.mu.Lock(); defer w.mu.Unlock(); w.reaped = append(w.reaped, slot) },
		func(id uint64) { w.mu.Lock(); defer w.mu.Unlock(); w.gone = append(w.gone, id) })
	if err != nil {
		t.Fatal(err)
	}

	w.s, s.anyID, s.lastFetch = s, true, time.Millisecond
	t.Cleanup(func() {
		until(t, "the server is idle", s.Idle)
		until(t, "nothing is counted that is not there", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.files.used == 0 && s.keeps.used == 0 && s.holds.used == 0 && s.unheld == 0 && s.root.files == 0 && s.root.keeps == 0 && s.taken == 0
		})
		s.Close()
		until(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
	})

	return w
}

// never limits waits that would otherwise hang a test.
const never = 20 * time.Second

// until waits for a state that is not announced.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

func descriptors(t *testing.T) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A process simulates a process. Its death is a channel.
type process struct {
	*Remote
	w     *world
	end   int // of its socket, until it connects
	child Child
	died  chan struct{}
	over  sync.Once

	mu   sync.Mutex
	gone []uint64
}

// born returns a child of the root that has not connected yet.
func (w *world) born() *process {
	w.t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{w: w, end: theirs, died: make(chan struct{})}
	if p.child, err = w.s.Adopt(ours, self(w.t), p.died); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.die)
	return p
}

// self returns a pidfd of this process, which simulates all processes.
func self(t testing.TB) int {
	t.Helper()
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return pidfd
}

func (w *world) start() *process {
	w.t.Helper()
	p := w.born()
	p.connect()
	return p
}

func (p *process) connect() {
	p.w.t.Helper()
	r, err := Connect(p.end, func(id uint64) { p.mu.Lock(); defer p.mu.Unlock(); p.gone = append(p.gone, id) })
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.end, p.Remote = -1, r
}

// die closes everything that the process has, and tells the server.
func (p *process) die() {
	p.over.Do(func() {
		if p.end >= 0 {
			_ = unix.Close(p.end)
		}
		if p.Remote != nil {
			_ = p.conn.file.Close()
			_ = p.table.Mailboxes().Close()
		}
		close(p.died)
		p.child.Depart()
	})
}

func (p *process) knows(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.gone, id)
}

// publish creates a segment of one page and publishes it.
func publish(t *testing.T, d Directory, id uint64) {
	t.Helper()
	fd, mem, err := shm.New("mp-test", 4096)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(mem, id)
	_ = shm.Unmap(mem)
	if err := d.Publish(id, fd, 4096, false); err != nil {
		t.Fatal(err)
	}
}

// has reports whether a process can get a segment, and drops the segment.
func has(t *testing.T, d Directory, id uint64) bool {
	t.Helper()
	ok := fetches(t, d, id)
	if ok {
		d.Drop(id)
	}
	return ok
}

// fetches fetches a segment and reads from it.
func fetches(t *testing.T, d Directory, id uint64) bool {
	t.Helper()
	s, err := d.Fetch(id)
	if err != nil {
		if !errors.Is(err, ErrGone) {
			t.Error(err)
		}
		return false
	}
	defer shm.CloseFD(s.FD)
	mem, err := shm.Map(s.FD, s.Size)
	if err != nil {
		t.Fatal(err)
	}
	defer shm.Unmap(mem)
	if got := binary.LittleEndian.Uint64(mem); got != id {
		t.Errorf("segment %d has %d in it", id, got)
	}

	return true
}

// Each process gets the segments that the others have published, until the owner destroys the
// segments. The others are told when that happens.
func TestSegmentsAreHandedOut(t *testing.T) {
	w := newWorld(t)
	all := []Directory{w.s, w.start(), w.start()}
	slots := map[int]bool{}
	for i, d := range all {
		id := uint64(100 + i)
		publish(t, d, id)
		for j, other := range all {
			if i != j && !fetches(t, other, id) {
				t.Errorf("%d does not get the segment of %d", j, i)
			}
		}

		slots[d.WaitTable().Slot()] = true
	}
	if len(slots) != len(all) {
		t.Errorf("slots %v", slots)
	}

	for i, d := range all {
		id := uint64(100 + i)
		all[(i+1)%3].Destroy(id) // not its own
		if !fetches(t, all[(i+1)%3], id) || !fetches(t, all[(i+2)%3], id) {
			t.Errorf("the segment of %d was destroyed by another", i)
		}
		d.Destroy(id)
		until(t, "it is gone", func() bool { return !has(t, d, id) })
	}

	for i, d := range all[1:] {
		until(t, "they are told", func() bool { return d.(*process).knows(100) && d.(*process).knows(uint64(102-i)) })
	}
	if has(t, w.s, 77) {
		t.Error("got a segment that there is not")
	}
}

// A dead process's segment lives as long as another process has it, or as long as the dead
// process's messages may still arrive.
func TestSegmentsOfTheDead(t *testing.T) {
	w := newWorld(t)
	p, other := w.start(), w.start()
	publish(t, p, 1) // fetched by another process
	publish(t, p, 2) // in transit
	publish(t, p, 3) // destroyed
	if !fetches(t, other, 1) {
		t.Fatal("no segment")
	}

	p.Destroy(3)
	close(p.died)
	p.over.Do(func() {})
	until(t, "it is buried", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.reaped) > 0 })
	until(t, "its slot is free", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 1 })
	if !has(t, w.s, 1) || !has(t, other, 2) || has(t, w.s, 3) { // it has not departed
		t.Error("what is there is wrong")
	}

	p.child.Depart()
	until(t, "what nobody has is forgotten", func() bool { return !has(t, w.s, 2) })
	if !has(t, w.s, 1) { // other has it
		t.Error("forgotten too early")
	}
	other.Drop(1)
	until(t, "and that as well", func() bool { return !has(t, w.s, 1) })
	_ = p.conn.file.Close()
	_ = p.table.Mailboxes().Close()
}

// The segments that messages need outlive a dead process until each message has released them.
// Segments that are kept as Owned live until ReleaseOwned. No segment lives longer than its
// carrier.
func TestKeep(t *testing.T) {
	const queue, counted, owned, both, left = 1, 2, 3, 4, 5
	w := newWorld(t)
	p := w.start()
	publish(t, w.s, queue)
	for _, id := range []uint64{counted, owned, both, left} {
		publish(t, p, id)
	}
	if !fetches(t, p, queue) {
		t.Fatal("no segment")
	}
	for id, kinds := range map[uint64][]Keeping{counted: {Counted, Counted}, owned: {Owned, Owned}, both: {Counted, Owned}, left: {Counted, Owned}} {
		for _, k := range kinds {
			if err := p.Keep(queue, id, k); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pair := range [][2]uint64{{queue, 9}, {9, owned}, {owned, owned}} {
		if err := p.Keep(pair[0], pair[1], Owned); !errors.Is(err, ErrGone) {
			t.Error(pair, err)
		}
	}
	w.s.ReleaseOwned(left, []uint64{queue, owned, 9}) // their owners live
	p.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	is := func(what string, want ...uint64) {
		t.Helper()
		for _, id := range []uint64{counted, owned, both, left} {
			if has(t, w.s, id) != slices.Contains(want, id) {
				t.Error(what, id)
			}
		}
	}

	is("dead", counted, owned, both, left)
	w.s.Release(queue, counted, false)
	w.s.Release(queue, owned, false) // not a counted keep
	w.s.Release(queue, both, false)
	is("released", counted, owned, both, left)
	w.s.Release(queue, counted, false)
	is("released again", owned, both, left)
	other := w.start()
	publish(t, other, 7)
	if !fetches(t, other, queue) {
		t.Fatal("no segment")
	}
	if err := other.Keep(queue, 7, Owned); err != nil {
		t.Fatal(err)
	}
	other.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	w.s.ReleaseOwned(7, []uint64{owned, both})
	is("let go by another one", owned, both, left)
	w.s.ReleaseOwned(left, []uint64{owned, both})
	is("let go", left)
	if carried := w.s.segments[queue].carries.m; len(carried) != 2 { // left, and the other one
		t.Error(carried)
	}
	w.s.Destroy(queue)
	is("the end of the carrier")
}

// Segments that only keep each other are released, unless a process has one of them.
func TestCircles(t *testing.T) {
	w := newWorld(t)
	p, q, user := w.start(), w.start(), w.start()
	for id := range uint64(4) {
		publish(t, []*process{p, q}[id%2], id+1)
	}
	if !fetches(t, p, 2) || !fetches(t, p, 4) {
		t.Fatal("no segment")
	}

	for _, pair := range [][2]uint64{{1, 2}, {2, 3}, {3, 1}, {3, 4}} { // 4 hangs on a cycle
		how := Counted
		if pair[0] == 2 {
			how = Owned
		}
		if err := p.Keep(pair[0], pair[1], how); err != nil {
			t.Fatal(err)
		}
	}

	if !fetches(t, user, 4) {
		t.Fatal("no segment")
	}
	p.die()
	q.die()
	until(t, "they are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 1 })
	w.s.ReleaseCycles()
	if has(t, w.s, 1) || has(t, w.s, 2) || has(t, w.s, 3) || !has(t, w.s, 4) {
		t.Error("what is there is wrong")
	}
	user.Drop(4)
	until(t, "that goes with its user", func() bool { return !has(t, w.s, 4) })
}

// A dead process's segments live until its parent has read all of its messages.
func TestAwaited(t *testing.T) {
	w := newWorld(t)
	maker, getter := w.start(), w.start()
	publish(t, maker, 1)
	publish(t, w.s, 2)
	if !fetches(t, maker, 2) {
		t.Fatal("no segment")
	}
	if err := maker.Keep(2, 1, Counted); err != nil || !fetches(t, getter, 1) {
		t.Fatal(err)
	}

	maker.die()
	close(getter.died) // and has sent it to its parent
	getter.over.Do(func() {})
	until(t, "they are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	w.s.Destroy(2)
	if !has(t, w.s, 1) {
		t.Error("it is gone")
	}

	getter.child.Depart()
	until(t, "nobody needs it any more", func() bool { return !has(t, w.s, 1) })
	_ = getter.conn.file.Close()
	_ = getter.table.Mailboxes().Close()
}

// A parent takes over what its child gives it, even if the child has died. No other process can
// take it over.
func TestTake(t *testing.T) {
	w := newWorld(t)
	p, other := w.start(), w.start()
	publish(t, p, 1)
	publish(t, p, 2)
	other.Take(1)
	other.Destroy(1)
	if !has(t, other, 1) {
		t.Error("a stranger took it")
	}

	w.s.Take(1)
	p.Destroy(1)
	if !has(t, p, 1) {
		t.Error("it is not the child's any more")
	}

	p.die()
	until(t, "it is buried", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.reaped) > 0 })
	until(t, "its other one is forgotten", func() bool { return !has(t, w.s, 2) })
	if !fetches(t, other, 1) {
		t.Error("it went with the child")
	}
	w.s.Destroy(1)
	if has(t, other, 1) {
		t.Error("it was not destroyed")
	}
	until(t, "others are told", func() bool { return other.knows(1) })
}

// Children of children are served too, and their deaths are noticed by pidfd.
func TestGrandchildren(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}

	sleeper := exec.Command("sleep", "1000") // for its pidfd
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}

	pidfd, err := unix.PidfdOpen(sleeper.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}

	child, err := p.Adopt(ours, pidfd, nil)
	if err != nil {
		t.Fatal(err)
	}

	g := &process{w: w, end: theirs, child: child, died: make(chan struct{})}
	g.connect()
	publish(t, g, 5)
	p.Take(5)
	if !has(t, p, 5) || !has(t, w.s, 5) {
		t.Error("no segment")
	}
	if err := sleeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Wait() }()
	until(t, "it is buried", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Contains(w.reaped, g.WaitTable().Slot())
	})
	child.Depart()
	if !has(t, w.s, 5) {
		t.Error("what its parent has taken went with it")
	}
	_ = g.conn.file.Close()
	_ = g.table.Mailboxes().Close()
	p.die()
	until(t, "all is forgotten", func() bool { return !has(t, w.s, 5) })
}

// Clients that send garbage, flood the server, or do not read harm only themselves.
func TestHostileClients(t *testing.T) {
	w := newWorld(t)
	good := w.start()
	publish(t, good, 1)
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		p := w.born()
		for range 50 {
			b := make([]byte, r.IntN(40))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			if len(b) > 0 {
				b[0] = byte(r.IntN(14))
			}

			var rights []byte
			if r.IntN(3) == 0 {
				rights = unix.UnixRights(slices.Repeat([]int{0}, 1+r.IntN(3))...)
			}
			if err := unix.Sendmsg(p.end, b, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil {
				break
			}
		}
		p.die()
	}

	nonReader := w.born() // never reads the answers
	for range 5000 {
		if err := unix.Sendmsg(nonReader.end, message{op: opFetch, id: 1, fd: -1}.encode(), nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil {
			break
		}
	}

	if !has(t, good, 1) {
		t.Error("a good client suffers")
	}
	good.Destroy(1)
	until(t, "it is destroyed", func() bool { return !has(t, good, 1) })
}

// The number of processes that can share objects is the number of slots.
func TestTooManyClients(t *testing.T) {
	w := newWorld(t)
	var all []*process
	for range len(w.s.clients) - rootSlot - 1 {
		all = append(all, w.born())
	}

	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(theirs)
	if _, err := w.s.Adopt(ours, -1, nil); !errors.Is(err, errFull) {
		t.Errorf("one too many: %v", err)
	}
	all[5].die()
	until(t, "its slot is free", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.reaped) == 1 })
	until(t, "another one gets it", func() bool {
		ours, theirs, err := Pair()
		if err != nil {
			t.Fatal(err)
		}

		p := &process{w: w, end: theirs, died: make(chan struct{})}
		if p.child, err = w.s.Adopt(ours, -1, p.died); err != nil {
			_ = unix.Close(theirs)
			return false
		}
		t.Cleanup(p.die)
		return true
	})
}
