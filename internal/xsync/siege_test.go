//go:build linux && amd64

package xsync_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A siege is a use of objects by several processes, which are killed at random moments.
type siege struct {
	kinds func(w *world) map[int]xsync.Kind // the objects to reap
	make  func(w *world, root *park.WaitTable)
	turns func(w *world, table *park.WaitTable) turn // the turns of each goroutine of a process
	after func(b *battle, dead int, inside uint64)   // what the supervisor does after a death
	again func(b *battle)                            // makes all go on when the dead process has a successor; may be nil
}

// A turn is one step of a goroutine. It returns soon, at the latest when its context ends.
type turn func(ctx context.Context, what int)

// A battle is the supervisor's view of a siege.
type battle struct {
	*testing.T
	w    *world
	root *park.WaitTable
	s    siege
	live *helper // the process that was not killed
	seen map[string]int
}

const (
	siegeSize    = 3  // goroutines of each process
	withinAt     = 8  // goroutines inside, a byte for each slot; one word, to be read at once
	headAt       = 9  // of the tickets
	tailAt       = 10 // of the tickets
	roundAt      = 11 // the Once in use
	ringAt       = 40 // tickets
	ringSize     = 4
	siegeTurnsAt = 64 // and the next, by slot and goroutine
	seenAt       = 100
	seenSize     = 256
	siegePermits = 4 // more than die with a process, since its permits are lost
)

// enter and exit count the goroutines that are inside. They never count a goroutine that is not.
func (w *world) enter(table *park.WaitTable) { w.tally(withinAt).Add(1 << (8 * table.Slot())) }
func (w *world) exit(table *park.WaitTable) {
	w.tally(withinAt).Add(-(uint64(1) << (8 * table.Slot())))
}

func (w *world) insideOf(slot int) uint64 { return w.tally(withinAt).Load() >> (8 * slot) & 0xff }
func (w *world) forget(slot int)          { w.tally(withinAt).And(^(uint64(0xff) << (8 * slot))) }

// inside returns how many goroutines are inside.
func (w *world) inside() (n uint64) {
	for all := w.tally(withinAt).Load(); all != 0; all >>= 8 {
		n += all & 0xff
	}
	return n
}

// expect counts violations.
func (w *world) expect(ok bool) {
	if !ok {
		w.tally(badAt).Add(1)
	}
}

// stay remains inside for a while, where there must be no more than most goroutines.
func (w *world) stay(table *park.WaitTable, most uint64) {
	w.enter(table)
	w.expect(w.inside() <= most)
	for range 50 {
		runtime.Gosched()
	}
	w.exit(table)
}

func siegeTurn(slot, what int) int { return siegeTurnsAt + siegeSize*slot + what }

// besiege takes turns until it is killed, and pauses between them when it is told to.
func (s siege) besiege(w *world, table *park.WaitTable) int {
	turn := s.turns(w, table)
	var gate sync.RWMutex
	var open context.Context // ends with the next pause
	var shut context.CancelFunc
	goOn := func() { open, shut = context.WithCancel(context.Background()) }
	goOn()

	for what := range siegeSize {
		go func() {
			for {
				gate.RLock()
				turn(open, what)
				gate.RUnlock()
				w.tally(siegeTurn(table.Slot(), what)).Add(1)
			}
		}()
	}

	for {
		switch readLine() {
		case "pause":
			shut()
			gate.Lock()
		case "go":
			goOn()
			gate.Unlock()
		default:
			return 0
		}
		fmt.Println("ok")
	}
}

func one(n int, k xsync.Kind) func(*world) map[int]xsync.Kind {
	return func(*world) map[int]xsync.Kind { return map[int]xsync.Kind{n: k} }
}

var sieges = map[string]siege{
	"mutex":     {one(0, xsync.KindMutex), newSiegeMutex, siegeMutex, afterMutex, nil},
	"recursive": {one(0, xsync.KindRecursive), newSiegeMutex, siegeMutex, afterMutex, nil},
	"rwmutex":   {one(0, xsync.KindRWMutex), func(w *world, root *park.WaitTable) { xsync.NewRWMutex(w.memory(root, 0)) }, siegeRW, afterRW, nil},
	"bounded":   {one(0, xsync.KindBounded), func(w *world, root *park.WaitTable) { xsync.NewBounded(w.memory(root, 0), siegePermits) }, siegeBounded, afterBounded, nil},
	"semaphore": {one(0, xsync.KindSemaphore), func(w *world, root *park.WaitTable) { xsync.NewSemaphore(w.memory(root, 0), siegePermits) }, siegeSemaphore, afterSemaphore, nil},
	"cond":      {condKinds, newSiegeCond, siegeCond, afterCond, nil},
	"event":     {one(0, xsync.KindEvent), func(w *world, root *park.WaitTable) { xsync.NewEvent(w.memory(root, 0)) }, siegeEvent, afterEvent, nil},
	"barrier":   {one(0, xsync.KindBarrier), func(w *world, root *park.WaitTable) { xsync.NewBarrier(w.memory(root, 0), 2*siegeSize) }, siegeBarrier, afterBarrier, againBarrier},
	"waitgroup": {groupKinds, newSiegeGroup, siegeGroup, afterGroup, nil},
	"ring":      {one(0, xsync.KindRing), newSiegeRing(tight), siegeRing(tight), afterRing(tight), nil},
	"patient":   {one(0, xsync.KindRing), newSiegeRing(patient), siegeRing(patient), afterRing(patient), nil},
	"pipe":      {pipeKinds, func(w *world, root *park.WaitTable) { w.newSiegePipe(root, 0) }, siegePipe, afterPipe, nil},
	"once":      {onceKinds, func(w *world, root *park.WaitTable) { xsync.NewOnce(w.memory(root, 0)) }, siegeOnce, afterOnce, nil},
}

func init() {
	for name, s := range sieges {
		roles["siege-"+name] = s.besiege
	}
}

// Processes die at random moments while they use an object of each kind. The guarantees of each
// kind hold after each death, and all goroutines of the other processes go on.
func TestKillsOfEachKind(t *testing.T) {
	seed := *killsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}

	t.Logf("-xsync.seed=%d", seed)
	for name, s := range sieges {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t)
			b := &battle{T: t, s: s, w: w, root: w.waitTables(rootSlot)[0], seen: map[string]int{}}
			s.make(w, b.root)
			all := [2]*helper{w.start(t, "siege-"+name, 2), w.start(t, "siege-"+name, 3)}
			hits, n := 0, 0
			for ; n < *kills || hits == 0 && n < 20**kills; n++ { // more, if no goroutine has died inside
				b.goesOn(all[0], 5)
				b.goesOn(all[1], 5)
				time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond) // a random moment
				i := r.IntN(2)
				b.live = all[1-i]
				if b.death(all[i]) {
					hits++
				}
				all[i] = w.start(t, "siege-"+name, all[i].slot)
				if s.again != nil {
					s.again(b)
				}
			}

			t.Logf("%d of %d kills have hit somebody inside %v", hits, n, b.seen)
			if hits == 0 {
				t.Error("no kill has hit anybody inside")
			}
		})
	}
}

// death kills a process and reports whether a goroutine of it was inside.
func (b *battle) death(h *helper) bool {
	b.Helper()
	h.kill()
	inside := b.w.insideOf(h.slot)
	if !within(b, "the survivors go on", func() {
		b.s.after(b, h.slot, inside)
	}) {
		b.Logf("%x", b.w.bytes(0)[:128])
		b.FailNow()
	}
	b.goesOn(b.live, 5)
	if n := b.w.tally(badAt).Load(); n > 0 {
		b.Fatalf("%d times something was not as promised", n)
	}
	return inside > 0
}

// goesOn returns when each goroutine of a process has made some progress.
func (b *battle) goesOn(h *helper, more uint64) {
	b.Helper()
	var before [siegeSize]uint64
	for what := range before {
		before[what] = b.w.tally(siegeTurn(h.slot, what)).Load()
	}
	for what := range before {
		until(b, fmt.Sprintf("goroutine %d of slot %d goes on", what, h.slot), func() bool {
			return b.w.tally(siegeTurn(h.slot, what)).Load() >= before[what]+more
		})
	}
}

// reap reaps a process after it has forgotten that its goroutines were inside. Another goroutine
// may get inside before the supervisor can do anything else.
func (b *battle) reap(dead int) {
	b.w.forget(dead)
	b.w.reap(dead, b.s.kinds(b.w))
}

// paused calls f while all other goroutines are between two turns.
func (b *battle) paused(f func()) {
	b.live.say("pause")
	b.live.hear(b)
	f()
	b.live.say("go")
	b.live.hear(b)
}
