//go:build linux

package xsync_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A tryer is an object that can be taken or tried.
type tryer interface {
	acquire(ctx context.Context) error
	try() (bool, error)
	release() error
	Close(owned bool)
}

type lockOf struct{ *xsync.Mutex }

func (l lockOf) acquire(ctx context.Context) error { return l.Lock(ctx) }
func (l lockOf) try() (bool, error)                { return l.TryLock() }
func (l lockOf) release() error                    { return l.Unlock() }

type rwOf struct{ *xsync.RWMutex }

func (l rwOf) acquire(ctx context.Context) error { return l.Lock(ctx) }
func (l rwOf) try() (bool, error)                { return l.TryLock() }
func (l rwOf) release() error                    { return l.Unlock() }

type semaphoreOf struct{ *xsync.Semaphore }

func (l semaphoreOf) acquire(ctx context.Context) error { return l.Acquire(ctx) }
func (l semaphoreOf) try() (bool, error)                { return l.TryAcquire() }
func (l semaphoreOf) release() error                    { return l.Release() }

type boundedOf struct{ *xsync.Bounded }

func (l boundedOf) acquire(ctx context.Context) error { return l.Acquire(ctx) }
func (l boundedOf) try() (bool, error)                { return l.TryAcquire() }
func (l boundedOf) release() error                    { return l.Release() }

// exclusive lists the objects that only one goroutine at a time can have.
var exclusive = []struct {
	name    string
	starved uint64 // the flag that a starving waiter sets in the word
	make    func(xsync.Memory) tryer
	open    func(xsync.Memory) tryer
}{
	{"mutex", 1 << 16, func(m xsync.Memory) tryer { return lockOf{xsync.NewMutex(m)} }, func(m xsync.Memory) tryer { return lockOf{xsync.OpenMutex(m)} }},
	{"rwmutex", 1 << 16, func(m xsync.Memory) tryer { return rwOf{xsync.NewRWMutex(m)} }, func(m xsync.Memory) tryer { return rwOf{xsync.OpenRWMutex(m)} }},
	{"semaphore", 1 << 31, func(m xsync.Memory) tryer { return semaphoreOf{xsync.NewSemaphore(m, 1)} }, func(m xsync.Memory) tryer { return semaphoreOf{xsync.OpenSemaphore(m)} }},
	{"bounded", 1 << 16, func(m xsync.Memory) tryer { return boundedOf{xsync.NewBounded(m, 1)} }, func(m xsync.Memory) tryer { return boundedOf{xsync.OpenBounded(m)} }},
}

// A starving waiter lets no other goroutine overtake it. When its context ends or its process
// closes the object, others can take the object at once.
func TestStarvationEnds(t *testing.T) {
	for _, x := range exclusive {
		for _, how := range []string{"context", "close"} {
			t.Run(x.name+"/"+how, func(t *testing.T) {
				w := newWorld(t)
				tables := w.waitTables(1, 2)
				here, there := x.make(w.memory(tables[0], 0)), x.open(w.memory(tables[1], 0))
				must(t, here.acquire(forever))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				end := make(chan error, 1)
				go func() { end <- there.acquire(ctx) }()
				until(t, "hunger", func() bool {
					w.mailboxes.RingAll() // the waiter becomes starved when it looks
					return shm.Word64(w.bytes(0), 0).Load()&x.starved != 0
				})

				if how == "close" {
					there.Close(false)
				} else {
					cancel()
				}

				if err := <-end; err == nil || how == "close" != errors.Is(err, errs.ErrClosed) {
					t.Error(err)
				}
				must(t, here.release())
				if ok, err := here.try(); !ok {
					t.Error("what nobody has cannot be had: ", err)
				}
			})
		}
	}
}

// Readers that stop waiting just when a writer gives them their turn do not block the next writer.
func TestTurnEnds(t *testing.T) {
	times := 20_000
	if testing.Short() {
		times = 4000
	}

	for _, how := range []string{"context", "close"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2)
			xsync.NewRWMutex(w.memory(tables[0], 0))
			here := xsync.OpenRWMutex(w.memory(tables[0], 0))

			for i := range times {
				there := xsync.OpenRWMutex(w.memory(tables[1], 0))
				must(t, here.Lock(forever))
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- there.RLock(ctx) }()
				for w.mask(0, 1) == 0 {
					runtime.Gosched()
				}

				spinning(i)
				go func() {
					if how == "close" {
						there.Close(false)
					} else {
						cancel()
					}
				}()
				spinning(i / 7)
				must(t, here.Unlock())
				if <-ended == nil {
					must(t, there.RUnlock())
				}
				cancel()
				if ok, err := here.TryLock(); !ok {
					t.Fatalf("round %d: TryLock of a lock that nobody has: %v", i, err)
				}
				must(t, here.Unlock())
			}
		})
	}
}

// spinning makes threads meet in a different order each time.
func spinning(i int) {
	for range i % 300 * 10 {
		_ = i
	}
}

// S9: if a process takes a signal and dies before it gets the lock back, the signal goes to another
// waiter.
func TestSignalTakenByTheDead(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 3) // the signal goes to the slot after the signaller's
	xsync.NewMutex(w.memory(tables[0], 0))
	var locks []*xsync.Mutex
	var conds []*xsync.Cond
	ended := make([]chan error, len(tables))
	for i, l := range tables {
		locks = append(locks, xsync.OpenMutex(w.memory(l, 0)))
		if i == 0 {
			xsync.NewCond(w.memory(l, 1), locks[0])
		}
		conds = append(conds, xsync.OpenCond(w.memory(l, 1), locks[i]))
		ended[i] = make(chan error, 1)
	}

	for i := 2; i > 0; i-- {
		must(t, locks[i].Lock(forever))
		go func() { ended[i] <- conds[i].Wait(forever) }()
		until(t, "waiting", func() bool { return locks[i].CheckHeld() != nil })
	}

	must(t, locks[0].Lock(forever))
	must(t, conds[0].Signal())
	until(t, "it has taken the signal and wants the lock", func() bool { return w.mask(0, 0) == 1<<2 })
	w.reap(2, map[int]xsync.Kind{0: xsync.KindMutex, 1: xsync.KindCond})
	must(t, locks[0].Unlock())
	within(t, "the signal goes to another", func() { must(t, <-ended[2]) })
	must(t, locks[2].Unlock())
	locks[1].Close(false) // the dead process is simulated in this one
	<-ended[1]
}
