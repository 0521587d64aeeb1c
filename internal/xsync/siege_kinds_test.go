//go:build linux && amd64

package xsync_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

func newSiegeMutex(w *world, root *park.WaitTable) { xsync.NewMutex(w.memory(root, 0)) }

// A Mutex has only one holder at a time, and the guarded counters are equal or repaired.
func siegeMutex(w *world, table *park.WaitTable) turn {
	m := xsync.OpenMutex(w.memory(table, 0))
	return func(context.Context, int) {
		_, err := lockAnyhow(func() error { return m.Lock(forever) }, func() error { return m.Recover(forever, func() error { return mend(w, 0) }) })
		w.expect(err == nil)
		w.enter(table)
		w.expect(w.inside() == 1)
		change(w, 0)
		w.exit(table)
		w.expect(m.Unlock() == nil)
	}
}

func afterMutex(b *battle, dead int, _ uint64) {
	b.reap(dead)
	b.paused(func() {
		m := xsync.OpenMutex(b.w.memory(b.root, 0))
		must(b, m.Recover(forever, func() error { return mend(b.w, 0) }))
		b.mustTake(m.TryLock, m.Unlock)
	})
}

// mustTake takes an object that is free, and releases it.
func (b *battle) mustTake(try func() (bool, error), release func() error) {
	b.Helper()
	if ok, err := try(); !ok || err != nil {
		b.Errorf("what nobody has cannot be taken: %v", err)
		return
	}
	must(b, release())
}

// A writer excludes all other writers and all readers.
func siegeRW(w *world, table *park.WaitTable) turn {
	m := xsync.OpenRWMutex(w.memory(table, 0))
	repair := func() error { return m.Recover(forever, func() error { return mend(w, 0) }) }
	return func(_ context.Context, what int) {
		if what == 0 {
			_, err := lockAnyhow(func() error { return m.Lock(forever) }, repair)
			w.expect(err == nil)
			w.enter(table)
			w.expect(w.inside() == 1)
			change(w, 0)
			w.exit(table)
			w.expect(m.Unlock() == nil)
			return
		}

		_, err := lockAnyhow(func() error { return m.RLock(forever) }, repair)
		w.expect(err == nil)
		w.enter(table)
		equal(w, 0)
		w.exit(table)
		w.expect(m.RUnlock() == nil)
	}
}

func afterRW(b *battle, dead int, _ uint64) {
	b.reap(dead)
	b.paused(func() {
		m := xsync.OpenRWMutex(b.w.memory(b.root, 0))
		must(b, m.Recover(forever, func() error { return mend(b.w, 0) }))
		b.mustTake(m.TryLock, m.Unlock)
	})
}

func siegeBounded(w *world, table *park.WaitTable) turn {
	s := xsync.OpenBounded(w.memory(table, 0))
	return func(context.Context, int) {
		w.expect(s.Acquire(forever) == nil)
		w.stay(table, siegePermits)
		w.expect(s.Release() == nil)
	}
}

// All permits have come back.
func afterBounded(b *battle, dead int, _ uint64) {
	b.reap(dead)
	b.paused(func() {
		if n, err := xsync.OpenBounded(b.w.memory(b.root, 0)).Available(); n != siegePermits || err != nil {
			b.Errorf("%d of %d permits, %v", n, siegePermits, err)
		}
	})
}

func siegeSemaphore(w *world, table *park.WaitTable) turn {
	s := xsync.OpenSemaphore(w.memory(table, 0))
	return func(context.Context, int) {
		w.expect(s.Acquire(forever) == nil)
		w.stay(table, siegePermits)
		w.expect(s.Release() == nil)
	}
}

// The permits of the dead process are lost, because the Semaphore does not know its holders. No
// other permits are lost.
func afterSemaphore(b *battle, dead int, inside uint64) {
	b.reap(dead)
	b.goesOn(b.live, 5) // with fewer permits
	b.paused(func() {
		s := xsync.OpenSemaphore(b.w.memory(b.root, 0))
		n, err := s.Available()
		lost := siegePermits - n
		if err != nil || lost < int(inside) || lost > siegeSize {
			b.Errorf("%d of %d permits after a death with %d, %v", n, siegePermits, inside, err)
		}
		for range lost {
			must(b, s.Release())
		}
	})
}

const (
	siegeNotEmpty = 1
	siegeNotFull  = 2
)

func condKinds(*world) map[int]xsync.Kind {
	return map[int]xsync.Kind{0: xsync.KindMutex, siegeNotEmpty: xsync.KindCond, siegeNotFull: xsync.KindCond}
}

func newSiegeCond(w *world, root *park.WaitTable) {
	m := xsync.NewMutex(w.memory(root, 0))
	xsync.NewCond(w.memory(root, siegeNotEmpty), m)
	xsync.NewCond(w.memory(root, siegeNotFull), m)
}

// A buffer is a ring of tickets. Each change is a single step, so there is nothing to repair.
type buffer struct {
	w                 *world
	table             *park.WaitTable
	m                 *xsync.Mutex
	notEmpty, notFull *xsync.Cond
}

func openBuffer(w *world, table *park.WaitTable) *buffer {
	m := xsync.OpenMutex(w.memory(table, 0))
	return &buffer{w, table, m, xsync.OpenCond(w.memory(table, siegeNotEmpty), m), xsync.OpenCond(w.memory(table, siegeNotFull), m)}
}

func (f *buffer) lock() {
	_, err := lockMutex(f.m)
	f.w.expect(err == nil)
	f.w.enter(f.table)
	f.w.expect(f.w.inside() == 1)
}

func (f *buffer) unlock() {
	f.w.exit(f.table)
	f.w.expect(f.m.Unlock() == nil)
}

// wait returns with the lock held, even if a holder has died.
func (f *buffer) wait(c *xsync.Cond) {
	f.w.exit(f.table)
	err := c.Wait(forever)
	if errors.Is(err, errs.ErrOwnerDied) {
		f.lock()
		return
	}
	f.w.expect(err == nil)
	f.w.enter(f.table)
	f.w.expect(f.w.inside() == 1)
}

func (f *buffer) put() {
	head, tail := f.w.tally(headAt), f.w.tally(tailAt)
	f.lock()
	for tail.Load()-head.Load() == ringSize {
		f.wait(f.notFull)
	}
	runtime.Gosched()
	n := tail.Load()
	f.w.tally(ringAt + int(n%ringSize)).Store(n + 1)
	tail.Store(n + 1)
	f.w.expect(f.notEmpty.Signal() == nil)
	f.unlock()
}

// take takes a ticket that was not taken before.
func (f *buffer) take() {
	head, tail := f.w.tally(headAt), f.w.tally(tailAt)
	f.lock()
	for tail.Load() == head.Load() {
		f.wait(f.notEmpty)
	}
	runtime.Gosched()
	n := head.Load()
	ticket := f.w.tally(ringAt + int(n%ringSize)).Load()
	head.Store(n + 1)
	f.w.expect(ticket == n+1)
	f.w.expect(f.w.tally(seenAt+int(ticket%seenSize)).Swap(ticket) != ticket)
	f.w.expect(f.notFull.Signal() == nil)
	f.unlock()
}

func siegeCond(w *world, table *park.WaitTable) turn {
	f := openBuffer(w, table)
	return func(_ context.Context, what int) {
		if what == 0 {
			f.put()
		} else {
			f.take()
		}
	}
}

// The dead process may not have signalled what it had done, so the others must look.
func afterCond(b *battle, dead int, _ uint64) {
	b.reap(dead)
	f := openBuffer(b.w, b.root)
	f.lock()
	must(b, f.notEmpty.Broadcast())
	must(b, f.notFull.Broadcast())
	f.unlock()
}

func siegeEvent(w *world, table *park.WaitTable) turn {
	e := xsync.OpenEvent(w.memory(table, 0))
	return func(_ context.Context, what int) {
		if what == 0 {
			w.expect(e.Set() == nil)
			runtime.Gosched()
			w.expect(e.Clear() == nil)
			return
		}
		w.enter(table)
		w.expect(e.Wait(forever) == nil)
		w.exit(table)
	}
}

func afterEvent(b *battle, dead int, _ uint64) {
	b.reap(dead)
	must(b, xsync.OpenEvent(b.w.memory(b.root, 0)).Wait(forever)) // a survivor sets it
}

// All parties wait for each party that passes: all of them are inside when the action is called.
func siegeBarrier(w *world, table *park.WaitTable) turn {
	g := xsync.OpenBarrier(w.memory(table, 0))
	return func(context.Context, int) {
		w.enter(table)
		_, err := g.Wait(forever, func() error {
			w.expect(w.inside() == 2*siegeSize)
			return nil
		})
		w.expect(err == nil || errors.Is(err, errs.ErrBroken))
		w.exit(table)
	}
}

// Until Reset all parties pass with an error. The supervisor forgets that the dead process was
// inside only after all survivors have passed, because an action may still be about to look.
func afterBarrier(b *battle, dead int, _ uint64) {
	b.w.reap(dead, b.s.kinds(b.w))
	g := xsync.OpenBarrier(b.w.memory(b.root, 0))
	must(b, g.Abort())
	b.goesOn(b.live, 5)
	if broken, err := g.Broken(); !broken || err != nil {
		b.Errorf("not broken: %v", err)
	}
	b.w.forget(dead)
}

// againBarrier lets all parties wait for each other again, when the dead process has a successor.
func againBarrier(b *battle) { must(b, xsync.OpenBarrier(b.w.memory(b.root, 0)).Reset()) }

// groupKinds returns the WaitGroups. Each belongs to a slot, and only that slot adds to it.
func groupKinds(*world) map[int]xsync.Kind {
	return map[int]xsync.Kind{2: xsync.KindWaitGroup, 3: xsync.KindWaitGroup}
}

func newSiegeGroup(w *world, root *park.WaitTable) {
	xsync.NewWaitGroup(w.memory(root, 2))
	xsync.NewWaitGroup(w.memory(root, 3))
}

func siegeGroup(w *world, table *park.WaitTable) turn {
	own := xsync.OpenWaitGroup(w.memory(table, table.Slot()))
	other := xsync.OpenWaitGroup(w.memory(table, 5-table.Slot()))
	return func(_ context.Context, what int) {
		if what > 0 {
			w.expect(other.Wait(forever) == nil)
			return
		}
		w.expect(own.Add(1) == nil)
		w.stay(table, 2)
		w.expect(own.Add(-1) == nil)
	}
}

// The other processes subtract what the dead process would have subtracted. In this test, they know
// how much that is.
func afterGroup(b *battle, dead int, inside uint64) {
	b.reap(dead)
	g := xsync.OpenWaitGroup(b.w.memory(b.root, dead))
	n, err := g.Count()
	if err != nil || n > 1 || n < int(inside) {
		b.Errorf("the count is %d after a death with %d, %v", n, inside, err)
	}
	must(b, g.Add(-n))
	must(b, g.Wait(forever))
}

// onceKinds returns the Once in use and the next one.
func onceKinds(w *world) map[int]xsync.Kind {
	n := int(w.tally(roundAt).Load())
	return map[int]xsync.Kind{n % onceRooms: xsync.KindOnce, (n + 1) % onceRooms: xsync.KindOnce}
}

// onceRooms is how many Onces have memory. The next Once gets the memory of the oldest.
const onceRooms = 1000

func onceMemory(w *world, table *park.WaitTable, n int) xsync.Memory {
	m := w.memory(table, n%onceRooms)
	m.Gen = uint32(n + 1)
	return m
}

// newOnce creates the n-th Once.
func newOnce(w *world, table *park.WaitTable, n int) {
	w.onceDone(n).Store(0)
	m := onceMemory(w, table, n)
	clear(m.Bytes[:xsync.Small])
	xsync.NewOnce(m)
}

var errNotYet = errors.New("not yet")

// onceDone returns the word that counts how often the n-th Once has been done, in bytes that belong
// to no object.
func (w *world) onceDone(n int) *atomic.Uint64 {
	return shm.Word64(w.bytes(onceDoneAt), 8*(n%onceRooms))
}

const onceDoneAt = 3500

// Only one goroutine at a time calls the function of a Once, and no goroutine does so after the
// function has succeeded. In this test, all calls fail, except the supervisor's.
func siegeOnce(w *world, table *park.WaitTable) turn {
	var lock sync.Mutex
	opened := map[int]*xsync.Once{}
	open := func(n int) *xsync.Once {
		lock.Lock()
		defer lock.Unlock()

		if opened[n] == nil {
			clear(opened)
			opened[n] = xsync.OpenOnce(onceMemory(w, table, n))
		}
		return opened[n]
	}

	return func(context.Context, int) {
		n := int(w.tally(roundAt).Load())
		err := open(n).Do(forever, func() error {
			w.expect(w.onceDone(n).Load() == 0)
			w.stay(table, 1)
			w.expect(w.onceDone(n).Load() == 0)
			return errNotYet
		})
		w.expect(err == nil && w.onceDone(n).Load() == 1 || errors.Is(err, errNotYet))
	}
}

// When a goroutine has died in its call, others call the function. After that, the Once is done,
// and the next Once follows.
func afterOnce(b *battle, dead int, _ uint64) {
	b.reap(dead)
	b.goesOn(b.live, 5)
	n := int(b.w.tally(roundAt).Load())
	o := xsync.OpenOnce(onceMemory(b.w, b.root, n))
	must(b, o.Do(forever, func() error {
		b.w.expect(b.w.inside() == 0)
		b.w.onceDone(n).Add(1)
		return nil
	}))
	b.goesOn(b.live, 5)
	must(b, o.Do(forever, func() error { b.w.expect(false); return nil }))
	newOnce(b.w, b.root, n+1)
	b.w.tally(roundAt).Store(uint64(n + 1))
}

// The senders are goroutines of the two slots. For each sender, the counters say how many records
// it started to put, how many it has put, and how many of these were received.
const (
	triesAt    = 400
	putsAt     = 410
	getsAt     = 420
	seenFrom   = 3000 // objects whose bytes record which records were received lately
	seenLately = spacing / 8
	producers  = 2 * siegeSize
)

func producerOf(slot, what int) int { return (slot-2)*siegeSize + what }

// siegeRecord returns the number and the size of the n-th record of a sender.
func siegeRecord(b build, producer int, n uint64) (id uint64, size int) {
	id = n*producers + uint64(producer)
	return id, max(b.sizes(rand.New(rand.NewPCG(id, 0))), 8)
}

func newSiegeRing(b build) func(w *world, root *park.WaitTable) {
	return func(w *world, root *park.WaitTable) { w.newRing(root, 0, b) }
}

// Each record is received once and unchanged, and the records of each sender arrive in order.
func siegeRing(b build) func(w *world, table *park.WaitTable) turn {
	return func(w *world, table *park.WaitTable) turn {
		r := w.openRing(table, 0, b)
		var next [siegeSize][producers]uint64 // that each goroutine can receive
		put := func(ctx context.Context, producer int) {
			n := w.tally(putsAt + producer).Load()
			w.tally(triesAt + producer).Store(n + 1)
			id, size := siegeRecord(b, producer, n)
			err := r.Put(ctx, numbered(id, size), numberedPlace, func([]byte) {})
			if err == nil {
				n++
				w.tally(putsAt + producer).Store(n)
			}
			w.tally(triesAt + producer).Store(n)
			w.expect(err == nil || errors.Is(err, ctx.Err()))
		}

		get := func(ctx context.Context, next *[producers]uint64) {
			w.enter(table)
			defer w.exit(table)
			rec, err := r.Get(ctx, nil)
			if err != nil {
				w.expect(errors.Is(err, ctx.Err()))
				return
			}

			id, size, err := numberOf(rec)
			producer, n := int(id%producers), id/producers
			_, want := siegeRecord(b, producer, n)
			w.expect(err == nil && size == want && n >= next[producer])
			next[producer] = n + 1
			seen := shm.Word64(w.bytes(seenFrom+producer), 8*int(n%seenLately))
			w.expect(mark(seen, n+1))
			w.tally(getsAt + producer).Add(1)
		}

		return func(ctx context.Context, what int) {
			if what == 0 || what == 2 && rand.IntN(2) == 0 {
				put(ctx, producerOf(table.Slot(), what))
			} else {
				get(ctx, &next[what])
			}
		}
	}
}

// mark records that a sender's n-th record was received, and reports whether that was the first
// time. A goroutine that is preempted after it received a record may be overtaken by a goroutine
// that receives a much later record with the same word. In that case, the later mark stays, and
// only the number of received records can tell whether the earlier record was received twice.
func mark(seen *atomic.Uint64, n uint64) bool {
	for {
		old := seen.Load()
		if old >= n {
			return old > n
		}
		if seen.CompareAndSwap(old, n) {
			return true
		}
	}
}

// Records that were put have been received or are still there, except for those that the dead
// process had just received.
func afterRing(b build) func(s *battle, dead int, inside uint64) {
	return func(s *battle, dead int, inside uint64) {
		s.reap(dead)
		s.goesOn(s.live, 5)
		s.paused(func() {
			r := s.w.openRing(s.root, 0, b)
			var there []xsync.Record
			var numbers [producers][]uint64
			rec, err := r.TryGet(nil)
			for ; err == nil; rec, err = r.TryGet(nil) {
				id, size, err := numberOf(rec)
				must(s, err)
				there = append(there, xsync.Record{Bytes: numbered(id, size)})
				numbers[id%producers] = append(numbers[id%producers], id/producers)
			}
			if !errors.Is(err, errs.ErrEmpty) {
				s.Error(err)
			}

			lost := uint64(0)
			for p, ns := range numbers {
				lost += s.lostOf(p, ns)
			}
			if lost > inside {
				s.Errorf("%d records are lost, and %d of the dead were about to get one", lost, inside)
			}

			for _, rec := range there {
				must(s, r.TryPut(rec.Bytes, numberedPlace, nil))
			}
		})
	}
}

// lostOf returns how many records of a sender are lost, given the numbers of the records that are
// there. It does not count lost records again.
func (b *battle) lostOf(producer int, there []uint64) (lost uint64) {
	tries, puts, gets := b.w.tally(triesAt+producer), b.w.tally(putsAt+producer), b.w.tally(getsAt+producer)
	first, end := puts.Load(), puts.Load()
	if n := tries.Load(); n > end && shm.Word64(b.w.bytes(seenFrom+producer), 8*int((n-1)%seenLately)).Load() == n {
		first, end = n, n // the record was put and received before its sender could say so
	}
	if len(there) > 0 {
		first, end = there[0], there[0]+uint64(len(there))
	}

	for i, n := range there {
		if n != first+uint64(i) {
			b.Errorf("producer %d: %d are there", producer, there)
		}
	}
	if end < puts.Load() || end > tries.Load() || gets.Load() > first {
		b.Errorf("producer %d: %d tried, %d put, %d got, %d are there", producer, tries.Load(), puts.Load(), gets.Load(), there)
	}

	lost = first - gets.Load()
	b.seen["lost"] += int(lost)
	b.seen["put, but not said so"] += int(end - puts.Load())
	b.seen["not put"] += int(tries.Load() - end)
	tries.Store(end)
	puts.Store(end)
	gets.Store(first)
	return lost
}
