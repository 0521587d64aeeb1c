//go:build linux

package xsync_test

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

var (
	kills     = flag.Int("xsync.kills", 8, "processes that TestKillsOfEachKind kills for each kind, and a fifth of those that TestRandomKills and TestRingModel do")
	killsSeed = flag.Uint64("xsync.seed", 0, "seed of these; 0: a new one")
)

// The objects of a crowd, and its counters. The Mutex and the RWMutex guard two counters each,
// which are equal unless a goroutine is inside. For the Bounded, a counter says how many goroutines
// are inside.
const (
	crowdMutex = iota
	crowdRW
	crowdBounded
)

const (
	leftAt  = 16 // and the next: guarded by the Mutex, then by the RWMutex
	cutAt   = 32 // how often a repair found the two counters different
	badAt   = 33 // how often the counters differed without a death
	turnsAt = 34
)

var crowdKinds = map[int]xsync.Kind{crowdMutex: xsync.KindMutex, crowdRW: xsync.KindRWMutex, crowdBounded: xsync.KindBounded}

// hands contains a process's handles to the objects.
type hands struct {
	w  *world
	m  *xsync.Mutex
	rw *xsync.RWMutex
	b  *xsync.Bounded
}

func (w *world) hands(table *park.WaitTable) *hands {
	return &hands{w, xsync.OpenMutex(w.memory(table, crowdMutex)), xsync.OpenRWMutex(w.memory(table, crowdRW)), xsync.OpenBounded(w.memory(table, crowdBounded))}
}

// crowd uses the objects in several goroutines until it is killed.
func crowd(w *world, table *park.WaitTable) int {
	h := w.hands(table)
	for range 3 {
		go func() {
			for {
				h.turn(rand.IntN(4))
			}
		}()
	}
	readLine()
	return 0
}

// turn uses one of the objects once.
func (h *hands) turn(what int) {
	w, m, rw, b := h.w, h.m, h.rw, h.b
	defer w.tally(turnsAt).Add(1)

	switch what {
	case 0:
		_, _ = lockAnyhow(func() error { return m.Lock(forever) }, func() error { return m.Recover(forever, func() error { return mend(w, 0) }) })
		change(w, 0)
		_ = m.Unlock()
	case 1:
		_, _ = lockAnyhow(func() error { return rw.Lock(forever) }, func() error { return rw.Recover(forever, func() error { return mend(w, 2) }) })
		change(w, 2)
		_ = rw.Unlock()

	case 2:
		_, _ = lockAnyhow(func() error { return rw.RLock(forever) }, func() error { return rw.Recover(forever, func() error { return mend(w, 2) }) })
		equal(w, 2)
		_ = rw.RUnlock()
	case 3:
		_ = b.Acquire(forever)
		_ = b.Release()
	}
}

// change makes the two counters different for a while.
func change(w *world, at int) {
	equal(w, at)
	w.tally(leftAt + at).Add(1)
	for range 100 {
		runtime.Gosched()
	}
	w.tally(leftAt + at + 1).Add(1)
}

func equal(w *world, at int) {
	if w.tally(leftAt+at).Load() != w.tally(leftAt+at+1).Load() {
		w.tally(badAt).Add(1)
	}
}

// mend makes the two counters equal again.
func mend(w *world, at int) error {
	if n := w.tally(leftAt + at).Load(); n != w.tally(leftAt+at+1).Load() {
		w.tally(cutAt).Add(1)
		w.tally(leftAt + at + 1).Store(n)
	}
	return nil
}

// Processes that use a Mutex, an RWMutex and a Bounded die at random moments. A goroutine that gets
// inside is alone, or learns that a process died inside, and all other goroutines go on.
func TestRandomKills(t *testing.T) {
	seed := *killsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}

	t.Logf("-xsync.seed=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	root := w.waitTables(rootSlot)[0]
	xsync.NewMutex(w.memory(root, crowdMutex))
	xsync.NewRWMutex(w.memory(root, crowdRW))
	xsync.NewBounded(w.memory(root, crowdBounded), 2)
	t.Cleanup(func() {
		for n := 0; t.Failed() && n < len(crowdKinds); n++ {
			t.Logf("object %d: %x", n, w.bytes(n)[:128])
		}
	})

	own := w.hands(root)
	all := []*helper{w.start(t, "crowd", 2), w.start(t, "crowd", 3)}
	for range 5 * *kills {
		goOn(t, w, 200)
		time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond) // a random moment
		i := r.IntN(len(all))
		all[i].kill()
		w.reap(all[i].slot, crowdKinds)
		within(t, "the living have their turns", func() {
			for what := range 4 {
				own.turn(what)
			}
		})
		if t.Failed() {
			t.FailNow()
		}
		all[i] = w.start(t, "crowd", all[i].slot)
	}

	for _, h := range all {
		h.kill()
		w.reap(h.slot, crowdKinds)
	}

	if n, err := xsync.OpenBounded(w.memory(root, crowdBounded)).Available(); n != 2 || err != nil {
		t.Errorf("%d of 2 permits, %v", n, err)
	}
	if n := w.tally(badAt).Load(); n > 0 {
		t.Errorf("%d times somebody was inside with another one", n)
	}
	if n := w.tally(cutAt).Load(); n == 0 {
		t.Error("no kill has hit anybody inside")
	} else {
		t.Logf("%d of %d kills have hit somebody inside", n, 5**kills)
	}
}

// goOn returns when the crowd has made some progress.
func goOn(t *testing.T, w *world, more uint64) {
	t.Helper()
	turns := w.tally(turnsAt)
	before := turns.Load()
	until(t, "the crowd goes on", func() bool { return turns.Load() >= before+more })
}
