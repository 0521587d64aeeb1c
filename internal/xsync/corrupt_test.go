//go:build linux

package xsync_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// nobody is a slot that no process has in these tests.
const nobody = 999

// A method is an object's method. Methods that take a context use ctx.
type method struct {
	name string
	call func(ctx context.Context) error
}

// A target is a kind of object whose memory is overwritten.
type target struct {
	kind  xsync.Kind
	words []int // offsets of words
	// open returns the methods of the object in a WaitTable. If make is set, it creates the object
	// first.
	open func(w *world, table *park.WaitTable, n int, make bool) []method
}

// wordsOf returns the offsets of the words in the first n bytes.
func wordsOf(n int) (words []int) {
	for at := 0; at < n; at += 8 {
		words = append(words, at)
	}
	return words
}

// wordsBySlot returns, for an object that has a word for each slot, the offsets of the words of
// slots in use and of some others.
func wordsBySlot() []int {
	words := wordsOf(64)
	for _, slot := range []int{0, 1, 2, 3, 8, 16, nobody} {
		words = append(words, 64+8*slot)
	}
	return words
}

const targetData = 4096 // size of a ring's data; a pipe has twice as much

// ringWords returns the offsets of the words of a Ring's head and of its first records.
func ringWords(at, data int) []int {
	words := []int{data, data + 8}
	for _, w := range wordsOf(xsync.RingSize) {
		words = append(words, at+w)
	}
	return words
}

func pipeWords() []int {
	words := wordsOf(xsync.Small)
	for i := range 2 {
		words = append(words, ringWords(xsync.Small+i*xsync.RingSize, xsync.PipeHead+i*targetData)...)
	}
	return words
}

func nothing() error { return nil }

// quick adapts a method without a context, which must return soon whatever the memory contains.
func quick(f func() error) func(context.Context) error {
	return func(context.Context) error { return f() }
}

func opened[T any](make bool, m xsync.Memory, create, open func(xsync.Memory) T) T {
	if make {
		return create(m)
	}
	return open(m)
}

func mutexTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	m := opened(make, w.memory(table, n), xsync.NewMutex, xsync.OpenMutex)
	return []method{
		{"Lock", m.Lock},
		{"Unlock", quick(m.Unlock)},
		{"TryLock", quick(func() error { _, err := m.TryLock(); return err })},
		{"Held", quick(m.CheckHeld)},
		{"Recover", func(ctx context.Context) error { return m.Recover(ctx, nothing) }},
		{"Lock again", m.Lock},
		{"Unlock again", quick(m.Unlock)},
	}
}

func rwTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	m := opened(make, w.memory(table, n), xsync.NewRWMutex, xsync.OpenRWMutex)
	return []method{
		{"RLock", m.RLock},
		{"RUnlock", quick(m.RUnlock)},
		{"Lock", m.Lock},
		{"Unlock", quick(m.Unlock)},
		{"TryRLock", quick(func() error { _, err := m.TryRLock(); return err })},
		{"TryLock", quick(func() error { _, err := m.TryLock(); return err })},
		{"Unlock again", quick(m.Unlock)},
		{"Recover", func(ctx context.Context) error { return m.Recover(ctx, nothing) }},
		{"Lock again", m.Lock},
		{"Unlock once more", quick(m.Unlock)},
	}
}

func semaphoreTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	s := opened(make, w.memory(table, n), func(m xsync.Memory) *xsync.Semaphore { return xsync.NewSemaphore(m, 2) }, xsync.OpenSemaphore)
	return []method{
		{"Acquire", s.Acquire},
		{"TryAcquire", quick(func() error { _, err := s.TryAcquire(); return err })},
		{"Available", quick(func() error { _, err := s.Available(); return err })},
		{"Release", quick(s.Release)},
	}
}

func boundedTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	b := opened(make, w.memory(table, n), func(m xsync.Memory) *xsync.Bounded { return xsync.NewBounded(m, 3) }, xsync.OpenBounded)
	return []method{
		{"Acquire", b.Acquire},
		{"TryAcquire", quick(func() error { _, err := b.TryAcquire(); return err })},
		{"Available", quick(func() error { _, err := b.Available(); return err })},
		{"Release", quick(b.Release)},
	}
}

func condTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	l := opened(make, w.memory(table, n+1), xsync.NewMutex, xsync.OpenMutex)
	c := opened(make, w.memory(table, n), func(m xsync.Memory) *xsync.Cond { return xsync.NewCond(m, l) },
		func(m xsync.Memory) *xsync.Cond { return xsync.OpenCond(m, l) })
	return []method{
		{"Lock", l.Lock},
		{"Signal", quick(c.Signal)},
		{"Wait", c.Wait},
		{"Broadcast", quick(c.Broadcast)},
		{"Unlock", quick(l.Unlock)},
	}
}

// condLockTarget overwrites the words of a Cond's lock.
func condLockTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	l := opened(make, w.memory(table, n), xsync.NewMutex, xsync.OpenMutex)
	c := opened(make, w.memory(table, n+1), func(m xsync.Memory) *xsync.Cond { return xsync.NewCond(m, l) },
		func(m xsync.Memory) *xsync.Cond { return xsync.OpenCond(m, l) })
	return []method{{"Lock", l.Lock}, {"Wait", c.Wait}, {"Unlock", quick(l.Unlock)}}
}

func eventTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	e := opened(make, w.memory(table, n), xsync.NewEvent, xsync.OpenEvent)
	return []method{
		{"Wait", e.Wait},
		{"Set", quick(e.Set)},
		{"IsSet", quick(func() error { _, err := e.IsSet(); return err })},
		{"Clear", quick(e.Clear)},
	}
}

func barrierTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	open := func(parties int) *xsync.Barrier {
		return opened(make, w.memory(table, n), func(m xsync.Memory) *xsync.Barrier { return xsync.NewBarrier(m, parties) }, xsync.OpenBarrier)
	}
	b := open(1) // the first party is also the last
	wait := func(ctx context.Context) error { _, err := b.Wait(ctx, nothing); return err }
	return []method{
		{"Wait", wait},
		{"Abort", quick(b.Abort)},
		{"Reset", quick(b.Reset)},
		{"Broken", quick(func() error { _, err := b.Broken(); return err })},
		{"Waiting", quick(func() error { _, err := b.Waiting(); return err })},
		{"Wait again", wait},
	}
}

func waitGroupTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	g := opened(make, w.memory(table, n), xsync.NewWaitGroup, xsync.OpenWaitGroup)
	return []method{
		{"Add", quick(func() error { return g.Add(1) })},
		{"Wait", g.Wait},
		{"Count", quick(func() error { _, err := g.Count(); return err })},
		{"Done", quick(func() error { return g.Add(-1) })},
	}
}

func onceTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	o := opened(make, w.memory(table, n), xsync.NewOnce, xsync.OpenOnce)
	return []method{
		{"Do", func(ctx context.Context) error { return o.Do(ctx, nothing) }},
		{"Done", quick(func() error { _, err := o.Done(); return err })},
	}
}

func ownershipTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	h := opened(make, w.memory(table, n), xsync.NewOwnership, xsync.OpenOwnership)
	return []method{{"all", quick(func() error {
		epoch, _ := h.Claim()
		epoch, _ = h.Depart(epoch, false)
		h.Settle(epoch)
		h.Arrive(epoch)
		h.Free(epoch)
		h.Lose(epoch)
		return nil
	})}}
}

func methodsOfRings(in, out *xsync.Ring) []method {
	spill := func(b []byte) ([]byte, error) { return make([]byte, xsync.SpillSize), nil }
	large := make([]byte, targetData) // spilled
	drop := func([]byte) {}

	return []method{
		{"Put", func(ctx context.Context) error { return in.Put(ctx, []byte("abc"), spill, drop) }},
		{"Ready", out.Ready},
		{"Get", func(ctx context.Context) error { _, err := out.Get(ctx, nil); return err }},
		{"TryPut", quick(func() error { return in.TryPut([]byte("abc"), spill, drop) })},
		{"Put what is large", func(ctx context.Context) error { return in.Put(ctx, large, spill, drop) }},
		{"TryGet", quick(func() error { _, err := out.TryGet(nil); return err })},
		{"Done", quick(out.Done)},
		{"Join", in.Join},
		{"Get again", func(ctx context.Context) error { _, err := out.Get(ctx, nil); return err }},
		{"End", quick(func() error { in.End(); return nil })},
		{"Get at the end", func(ctx context.Context) error { _, err := out.Get(ctx, nil); return err }},
	}
}

func ringTarget(shape xsync.RingShape) func(w *world, table *park.WaitTable, n int, make bool) []method {
	return func(w *world, table *park.WaitTable, n int, make bool) []method {
		data := w.bytes(n)[xsync.RingSize:][:targetData:targetData]
		r := opened(make, w.memory(table, n), func(m xsync.Memory) *xsync.Ring { return xsync.NewRing(m, data, shape) },
			func(m xsync.Memory) *xsync.Ring { return xsync.OpenRing(m, data, shape) })
		return methodsOfRings(r, r)
	}
}

func pipeTarget(w *world, table *park.WaitTable, n int, make bool) []method {
	data := w.bytes(n)[xsync.PipeHead:][: 2*targetData : 2*targetData]
	p := opened(make, w.memory(table, n), func(m xsync.Memory) *xsync.Pipe { return xsync.NewPipe(m, data) },
		func(m xsync.Memory) *xsync.Pipe { return xsync.OpenPipe(m, data) })
	return append(methodsOfRings(p.Sent(0), p.Received(1)), method{"ends", quick(func() error {
		epoch, _ := p.Depart(0, 0, false)
		p.Settle(0, epoch)
		p.Arrive(0, epoch)
		p.CloseEnd(0, epoch)
		p.Lose(1, 0)
		return nil
	})})
}

var targets = map[string]target{
	"mutex":     {xsync.KindMutex, wordsOf(xsync.Small), mutexTarget},
	"rwmutex":   {xsync.KindRWMutex, wordsBySlot(), rwTarget},
	"semaphore": {xsync.KindSemaphore, wordsOf(xsync.Small), semaphoreTarget},
	"bounded":   {xsync.KindBounded, wordsOf(xsync.BoundedSize(3)), boundedTarget},
	"cond":      {xsync.KindCond, wordsBySlot(), condTarget},
	"condlock":  {xsync.KindMutex, wordsOf(xsync.Small), condLockTarget},
	"event":     {xsync.KindEvent, wordsOf(xsync.Small), eventTarget},
	"barrier":   {xsync.KindBarrier, wordsBySlot(), barrierTarget},
	"waitgroup": {xsync.KindWaitGroup, wordsOf(xsync.Small), waitGroupTarget},
	"once":      {xsync.KindOnce, wordsOf(xsync.Small), onceTarget},
	"held":      {xsync.KindOwnership, wordsOf(xsync.Small), ownershipTarget},
	"ring":      {xsync.KindRing, ringWords(0, xsync.RingSize), ringTarget(xsync.RingShape{Most: 8, Elsewhere: true})},
	"patient":   {xsync.KindRing, ringWords(0, xsync.RingSize), ringTarget(xsync.RingShape{Most: 8})},
	"pipe":      {xsync.KindPipe, pipeWords(), pipeTarget},
}

// writings returns functions that compute a word's new value.
func writings(r *rand.Rand) map[string]func(w uint64) uint64 {
	noise, bits := r.Uint64(), uint64(1)<<r.IntN(64)
	return map[string]func(w uint64) uint64{
		"zero":   func(uint64) uint64 { return 0 },
		"max":    func(uint64) uint64 { return math.MaxUint64 },
		"random": func(uint64) uint64 { return noise },
		"bit":    func(w uint64) uint64 { return w ^ bits },
		"low":    func(w uint64) uint64 { return w | math.MaxUint32 },
		"nobody": func(w uint64) uint64 { return w&^1023 | nobody },
		"me":     func(w uint64) uint64 { return w&^1023 | 1 },
		"other":  func(w uint64) uint64 { return w&^1023 | 2 },
	}
}

const (
	shortly = 10 * time.Millisecond
	// overdue is how long a method may outlive its context. It covers a heartbeat, a stuck lock and
	// the delays of a busy machine.
	overdue = 10 * time.Second
)

// useAll calls all methods of an object, and reports methods that do not return.
func useAll(t *testing.T, what string, methods []method) {
	t.Helper()
	for _, m := range methods {
		done := make(chan struct{})
		go func() {
			defer close(done)
			ctx, cancel := context.WithTimeout(t.Context(), shortly)
			defer cancel()
			_ = m.call(ctx) // any result is fine, as long as it returns
		}()

		select {
		case <-done:
		case <-time.After(overdue):
			t.Errorf("%s: %s does not return", what, m.name)
			return
		}
	}
}

// corruptWorld creates WaitTables in this process for two slots, with the usual heartbeat.
func corruptWorld(t *testing.T) (w *world, tables []*park.WaitTable) {
	t.Cleanup(xsync.Stuck(shortly))
	t.Cleanup(xsync.RelockTimeout(shortly))
	w = newWorld(t)
	for _, slot := range []int{1, 2} {
		w.mailboxes.Occupy(slot)
		tables = append(tables, park.NewWaitTable(w.mailboxes, slot))
	}
	return w, tables
}

// Whatever overwrites the words of an object, each method returns when its context has ended, or
// soon if it takes no context. Reap returns as well.
func TestWordsWrittenOver(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 1))
	for name, x := range targets {
		t.Run(name, func(t *testing.T) {
			w, tables := corruptWorld(t)
			var wg sync.WaitGroup
			places := make(chan int, 32) // limits the objects in use
			for i := range cap(places) {
				places <- 2 * i
			}

			for _, at := range x.words {
				for how, f := range writings(r) {
					n := <-places
					wg.Go(func() {
						defer func() { places <- n }()
						clear(w.bytes(n))
						clear(w.bytes(n + 1))
						here := x.open(w, tables[0], n, true)
						there := x.open(w, tables[1], n, false)
						word := shm.Word64(w.bytes(n), at)
						what := fmt.Sprintf("word %d, %s", at, how)
						for _, methods := range [][]method{here, there, here} {
							word.Store(f(word.Load()))
							useAll(t, what, methods)
						}
						useAll(t, what, []method{{"Bury", quick(func() error { xsync.Reap(x.kind, w.bytes(n), 2); return nil })}})
					})
				}
			}

			wg.Wait()
		})
	}
}

// Methods and Reap also return while a word keeps changing.
func TestWordsFlipped(t *testing.T) {
	values := []uint64{0, math.MaxUint64, 1, 2, nobody, 1 << 62, 1<<62 | 1<<20 | 4, 1 << 63}

	for name, x := range targets {
		t.Run(name, func(t *testing.T) {
			w, tables := corruptWorld(t)
			for _, at := range x.words {
				clear(w.bytes(0))
				clear(w.bytes(1))
				here := x.open(w, tables[0], 0, true)
				there := x.open(w, tables[1], 0, false)
				word := shm.Word64(w.bytes(0), at)
				first := word.Load()
				over := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-over:
							return
						default:
						}
						word.Store(values[i%len(values)])
						word.Store(first)
						word.Store(first&^1023 | values[i%4])
					}
				})

				what := fmt.Sprintf("word %d", at)
				useAll(t, what, slices.Concat(here, there))
				useAll(t, what, []method{{"Bury", quick(func() error { xsync.Reap(x.kind, w.bytes(0), 2); return nil })}})
				close(over)
				wg.Wait()
			}
		})
	}
}

// A wait ends with its context even if its word always looks ready and the waiter keeps being
// called, although every attempt to receive finds nothing.
func TestReadyInVain(t *testing.T) {
	w, tables := corruptWorld(t)
	shape := xsync.RingShape{Most: 8}
	data := w.bytes(0)[xsync.RingSize:][:targetData]
	r := xsync.NewRing(w.memory(tables[0], 0), data, shape)
	looks := 0
	within(t, "Until", func() {
		watch := xsync.NewWatch(tables[0])
		defer watch.End()

		watch.Ring(r)
		ctx, cancel := context.WithCancel(t.Context())
		err := watch.Until(ctx, func() bool {
			if looks++; looks == 10 {
				cancel()
			}
			watch.Call()
			return false
		})
		if err == nil || looks != 10 {
			t.Error(err, looks)
		}
	})
}

// lockOver overwrites the word of an object's lock, without flags, as if the given slot held the
// lock.
func lockOver(w *world, n, at, slot int) {
	word := shm.Word64(w.bytes(n), at)
	word.Store(word.Load()&^math.MaxUint32 | uint64(slot))
}

// A lock whose holder is not a process does not block others. The guarded memory may be
// inconsistent, as after a death. A lock that a process holds is left alone.
func TestHeldByNobody(t *testing.T) {
	const draining = 1 << 18
	died := func(t *testing.T, err error) {
		t.Helper()
		if err != errs.ErrOwnerDied {
			t.Error(err)
		}
	}

	for name, f := range map[string]func(t *testing.T, w *world, m xsync.Memory, ctx context.Context){
		"mutex": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			x := xsync.NewMutex(m)
			lockOver(w, 0, 0, nobody)
			died(t, x.Lock(ctx))
			must(t, x.Recover(ctx, nothing))
			must(t, x.Lock(ctx))
			must(t, x.Unlock())
			lockOver(w, 0, 0, nobody)
			_, err := x.TryLock()
			died(t, err)
			lockOver(w, 0, 0, 1<<17|nobody) // during the repair
			must(t, x.Recover(ctx, nothing))
			must(t, x.Lock(ctx))
		},
		"reader": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			x := xsync.NewRWMutex(m)
			lockOver(w, 0, 0, nobody)
			died(t, x.RLock(ctx))
			must(t, x.Recover(ctx, nothing))
			lockOver(w, 0, 0, draining|nobody)
			must(t, x.RLock(ctx))
		},
		"writer": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			x := xsync.NewRWMutex(m)
			lockOver(w, 0, 0, nobody)
			died(t, x.Lock(ctx))
			must(t, x.Recover(ctx, nothing))
			lockOver(w, 0, 0, draining|nobody)
			must(t, x.Lock(ctx))
		},
		"readers": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			x := xsync.NewRWMutex(m)
			for i := range park.MaxProcs { // the counts of all slots except the two in use
				if i != 8 && i != 16 {
					shm.Word64(w.bytes(0), 64+8*i).Store(7)
				}
			}

			must(t, x.Lock(ctx))
		},
		"once": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			x := xsync.NewOnce(m)
			lockOver(w, 0, 0, nobody)
			must(t, x.Do(ctx, nothing))
			if done, err := x.Done(); !done || err != nil {
				t.Error(done, err)
			}
		},
		"bounded": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			x := xsync.NewBounded(m, 2)
			shm.Word64(w.bytes(0), 64).Store(nobody)
			shm.Word64(w.bytes(0), 72).Store(math.MaxUint64)
			must(t, x.Acquire(ctx))
			must(t, x.Acquire(ctx))
			if ok, err := x.TryAcquire(); ok || err != nil {
				t.Error(ok, err)
			}
		},
		"ring": func(t *testing.T, w *world, m xsync.Memory, ctx context.Context) {
			r := xsync.NewRing(m, w.bytes(0)[xsync.RingSize:][:targetData], xsync.RingShape{Most: 8, Elsewhere: true})
			lockOver(w, 0, 64, nobody)
			must(t, r.Put(ctx, []byte("a"), nil, nil))
			lockOver(w, 0, 64, nobody)
			must(t, r.TryPut([]byte("b"), nil, nil))
			lockOver(w, 0, 128, nobody)
			rec, err := r.Get(ctx, nil)
			must(t, err)
			lockOver(w, 0, 128, nobody)
			next, err := r.TryGet(nil)
			must(t, err)
			if string(rec.Bytes)+string(next.Bytes) != "ab" {
				t.Error(rec, next)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			table := w.waitTables(1)[0]
			ctx, cancel := context.WithTimeout(t.Context(), never)
			defer cancel()

			f(t, w, w.memory(table, 0), ctx)
		})
	}
}

// Waiting processes notice such a lock too, but not before the slot is vacated.
func TestHeldByNobodyWhileWaiting(t *testing.T) {
	w := newWorld(t)
	w.mailboxes.Occupy(1)
	w.mailboxes.Occupy(nobody)
	table := park.NewWaitTable(w.mailboxes, 1)
	table.Heartbeat = time.Millisecond
	m := xsync.NewMutex(w.memory(table, 0))
	lockOver(w, 0, 0, nobody)
	ended := make(chan error, 1)
	go func() { ended <- m.Lock(t.Context()) }()
	until(t, "it waits", func() bool { return w.mask(0, 0) != 0 })
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := m.Lock(short); err != context.DeadlineExceeded {
		t.Error("a lock that another process holds: ", err)
	}

	select {
	case err := <-ended:
		t.Fatal("a lock that another process holds: ", err)
	default:
	}

	w.mailboxes.Vacate(nobody)
	within(t, "the heartbeat finds it", func() {
		if err := <-ended; err != errs.ErrOwnerDied {
			t.Error(err)
		}
	})
}

// If another holder keeps the lock, Cond.Wait returns ErrNotHeld after its context has ended.
func TestCondLockIsKept(t *testing.T) {
	w, tables := corruptWorld(t)
	l := xsync.NewMutex(w.memory(tables[0], 0))
	c := xsync.NewCond(w.memory(tables[0], 1), l)
	other := xsync.OpenMutex(w.memory(tables[1], 0))
	must(t, l.Lock(forever))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait(ctx) }()
	must(t, other.Lock(forever))
	cancel()
	within(t, "Wait ends", func() {
		if err := <-ended; !errors.Is(err, errs.ErrNotHeld) || l.CheckHeld() == nil {
			t.Error(err)
		}
	})

	must(t, other.Unlock())
}
