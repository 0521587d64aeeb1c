//go:build linux

package xsync_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// soon returns a context that ends soon, and the time at which it ends.
func soon(t *testing.T) (context.Context, time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	end, _ := ctx.Deadline()
	return ctx, end
}

// late checks that err is the error of a deadline, and that it came neither early nor only with the
// heartbeat.
func late(t *testing.T, what string, err error, end time.Time) {
	t.Helper()
	if d := time.Since(end); !errors.Is(err, context.DeadlineExceeded) || d < 0 || d > 10*time.Second {
		t.Errorf("%s: %v, %v after its deadline", what, err, d)
	}
}

// S1, S7, S8: an object that another WaitTable holds cannot be taken, neither at once nor before a
// deadline. Once the object is released, it can be taken.
func TestExclusive(t *testing.T) {
	for _, x := range exclusive {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2)
			here, there := x.make(w.memory(tables[0], 0)), x.open(w.memory(tables[1], 0))
			if ok, err := here.try(); !ok || err != nil {
				t.Fatal(ok, err)
			}

			for _, o := range []tryer{here, there} {
				if ok, err := o.try(); ok || err != nil {
					t.Error(ok, err)
				}
				ctx, end := soon(t)
				late(t, x.name, o.acquire(ctx), end)
				past, cancel := context.WithCancel(t.Context())
				cancel()
				if err := o.acquire(past); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}

			must(t, here.release())
			if ok, err := there.try(); !ok || err != nil {
				t.Error(ok, err)
			}
		})
	}
}

// S2: releasing an object that this process does not hold is an error, and changes nothing.
func TestNotHeld(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2)
	a := xsync.NewMutex(w.memory(tables[0], 0))
	b := xsync.OpenMutex(w.memory(tables[1], 0))
	c := xsync.NewRWMutex(w.memory(tables[0], 1))
	d := xsync.OpenRWMutex(w.memory(tables[1], 1))
	notHeld := func(err error) {
		t.Helper()
		if !errors.Is(err, errs.ErrNotHeld) {
			t.Error(err)
		}
	}

	notHeld(a.Unlock())
	must(t, a.Lock(forever))
	notHeld(b.Unlock())
	must(t, a.CheckHeld())
	must(t, a.Unlock())
	notHeld(a.Unlock())
	notHeld(c.Unlock())
	notHeld(c.RUnlock())
	must(t, c.RLock(forever))
	notHeld(d.RUnlock())
	notHeld(c.Unlock())
	if ok, _ := d.TryLock(); ok {
		t.Error("a writer beside a reader")
	}
	if ok, _ := d.TryRLock(); !ok {
		t.Error("no reader beside a reader")
	}

	must(t, c.RUnlock())
	must(t, d.RUnlock())
	must(t, d.Lock(forever))
	notHeld(c.Unlock())
	if ok, _ := c.TryRLock(); ok {
		t.Error("a reader beside a writer")
	}

	must(t, d.Unlock())
}

// S5, S6: a semaphore may rise above its initial value; a bounded one may not.
func TestPermits(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2)
	s := xsync.NewSemaphore(w.memory(tables[0], 0), 1)
	must(t, s.Release())
	if n, err := s.Available(); n != 2 || err != nil {
		t.Error(n, err)
	}

	b := xsync.NewBounded(w.memory(tables[0], 1), 2)
	if err := b.Release(); !errors.Is(err, errs.ErrOverRelease) {
		t.Error(err)
	}

	other := xsync.OpenBounded(w.memory(tables[1], 1))
	must(t, other.Acquire(forever))
	must(t, b.Release()) // taken by the other process
	if n, err := other.Available(); n != 2 || err != nil {
		t.Error(n, err)
	}
	must(t, other.Acquire(forever))
	w.reap(2, map[int]xsync.Kind{1: xsync.KindBounded})
	if n, err := b.Available(); n != 2 || err != nil {
		t.Error(n, err, "after a death")
	}
}

// S9, S10: Signal wakes one waiter and Broadcast all, across several WaitTables.
func TestSignalAndBroadcast(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)
	locks, conds := w.conds(tables)
	const all = 12
	waiting, woken := w.tally(2), make(chan struct{}, all) // changed with the lock held
	for i := range all {
		go func() {
			m, c := locks[i%3], conds[i%3]
			must(t, m.Lock(forever))
			waiting.Add(1)
			must(t, c.Wait(forever))
			must(t, m.Unlock())
			woken <- struct{}{}
		}()
	}

	locked := func(f func()) {
		must(t, locks[0].Lock(forever))
		f()
		must(t, locks[0].Unlock())
	}

	until(t, "all wait", func() (ok bool) { locked(func() { ok = waiting.Load() == all }); return ok })
	for range 5 {
		locked(func() { must(t, conds[0].Signal()) })
		within(t, "one is woken", func() { <-woken })
		for range 20 { // no other waiter wakes, however often the waiters look
			w.mailboxes.RingAll()
			locked(func() {})
		}
		if len(woken) > 0 {
			t.Fatal("a signal has woken more than one")
		}
	}

	locked(func() { must(t, conds[0].Broadcast()) })
	within(t, "all are woken", func() {
		for range all - 5 {
			<-woken
		}
	})
}

// S13, S14, S18: Wait ends with its context, and fails without the lock.
func TestCondEnds(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1)
	m := xsync.NewMutex(w.memory(tables[0], 0))
	c := xsync.NewCond(w.memory(tables[0], 1), m)
	for _, err := range []error{c.Wait(forever), c.Signal(), c.Broadcast()} {
		if !errors.Is(err, errs.ErrNotHeld) {
			t.Error(err)
		}
	}
	must(t, m.Lock(forever))
	ctx, end := soon(t)
	late(t, "Wait", c.Wait(ctx), end)
	must(t, m.Unlock())
}

// A holder that keeps the lock forever does not block a Wait whose context has ended. Wait returns
// ErrNotHeld and not the context's error, and leaves nothing behind. A signal that this Wait
// received goes to another waiter.
func TestCondOfKeptLock(t *testing.T) {
	defer xsync.RelockTimeout(time.Millisecond)()
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)
	locks, conds := w.conds(tables)
	for _, signalled := range []bool{false, true} {
		ctx, cancel := context.WithCancel(forever)
		kept, other := make(chan error, 1), make(chan error, 1)
		must(t, locks[1].Lock(forever))
		go func() { kept <- conds[1].Wait(ctx) }()
		must(t, locks[2].Lock(forever)) // the first one waits
		go func() { other <- errors.Join(conds[2].Wait(forever), locks[2].Unlock()) }()
		must(t, locks[0].Lock(forever)) // the second one waits too
		if signalled {
			must(t, conds[0].Signal()) // goes to the first one, which waits in the next slot
		}

		cancel()
		within(t, "Wait returns", func() {
			if err := <-kept; !errors.Is(err, errs.ErrNotHeld) || errors.Is(err, context.Canceled) {
				t.Errorf("signalled %v: %v", signalled, err)
			}
		})

		if err := locks[1].CheckHeld(); !errors.Is(err, errs.ErrNotHeld) {
			t.Errorf("signalled %v: %v", signalled, err)
		}
		if !signalled {
			must(t, conds[0].Signal())
		}

		must(t, locks[0].Unlock())
		within(t, "the other one is woken", func() { must(t, <-other) })
		must(t, locks[0].Lock(forever)) // no goroutine waits for it
		must(t, locks[0].Unlock())
	}
}

// S19, S20: an Event stays set, and also releases waiters that look at the Event only after a
// Clear.
func TestEvent(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2)
	here := xsync.NewEvent(w.memory(tables[0], 0))
	there := xsync.OpenEvent(w.memory(tables[1], 0))
	for range 1000 {
		done := make(chan error, 1)
		go func() { done <- there.Wait(forever) }()
		for w.mask(0, 0) == 0 {
			runtime.Gosched()
		}

		must(t, here.Set())
		must(t, here.Clear())
		within(t, "Set wakes", func() { must(t, <-done) })
	}

	ctx, end := soon(t)
	late(t, "Wait", there.Wait(ctx), end)
	must(t, here.Set())
	must(t, there.Wait(forever))
	must(t, there.Wait(forever))
}

// S21, S22, S24, S25: all parties pass in lockstep, and the one with index 0 runs the action once.
func TestBarrierPasses(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)
	const parties, passes = 6, 200
	xsync.NewBarrier(w.memory(tables[0], 0), parties)
	all := each(w, tables, 0, xsync.OpenBarrier)
	var acts, arrived atomic.Int64

	within(t, "all pass", func() {
		var wg sync.WaitGroup
		for i := range parties {
			wg.Go(func() {
				for p := range int64(passes) {
					arrived.Add(1)
					acted := false
					index, err := all[i%3].Wait(forever, func() error {
						acted = true
						acts.Add(1)
						return nil
					})
					if err != nil || acted != (index == 0) || index < 0 || index >= parties {
						t.Errorf("pass %d: index %d, acted %v, %v", p, index, acted, err)
					}
					if acts.Load() < p+1 || arrived.Load() < (p+1)*parties {
						t.Errorf("pass %d before all have arrived", p)
					}
				}
			})
		}
		wg.Wait()
	})

	if acts.Load() != passes {
		t.Errorf("%d actions in %d passes", acts.Load(), passes)
	}
}

// S26, S27, S28: Abort, Reset, a deadline and a failing action break the barrier for all waiters.
func TestBarrierBreaks(t *testing.T) {
	for name, breakIt := range map[string]func(b *xsync.Barrier){
		"abort":    func(b *xsync.Barrier) { must(t, b.Abort()) },
		"reset":    func(b *xsync.Barrier) { must(t, b.Reset()) },
		"deadline": func(b *xsync.Barrier) { ctx, end := soon(t); _, err := b.Wait(ctx, nil); late(t, "Wait", err, end) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2)
			xsync.NewBarrier(w.memory(tables[0], 0), 4)
			all := each(w, tables, 0, xsync.OpenBarrier)
			failures := make(chan error, 4)
			wait := func(n int) {
				for i := range n {
					go func() {
						_, err := all[i%2].Wait(forever, nil)
						failures <- err
					}()
				}
			}

			wait(2)
			until(t, "two wait", func() bool { n, _ := all[0].Waiting(); return n == 2 })
			breakIt(all[0])
			for range 2 {
				within(t, "it breaks", func() {
					if err := <-failures; !errors.Is(err, errs.ErrBroken) {
						t.Error(err)
					}
				})
			}

			if broken, err := all[1].Broken(); broken != (name != "reset") || err != nil {
				t.Error(broken, err)
			}
			if name != "reset" {
				if _, err := all[1].Wait(forever, nil); !errors.Is(err, errs.ErrBroken) {
					t.Error(err)
				}
				must(t, all[1].Reset())
			}

			wait(4)
			for range 4 {
				within(t, "it works again", func() { must(t, <-failures) })
			}
		})
	}

	w := newWorld(t)
	one := xsync.NewBarrier(w.memory(w.waitTables(1)[0], 0), 1)
	if index, err := one.Wait(forever, nil); index != 0 || err != nil {
		t.Error(index, err)
	}
}

// A goroutine that takes and releases a lock in a hot loop does not block another goroutine for
// long.
func TestNobodyStarves(t *testing.T) {
	for _, x := range exclusive {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2)
			hot, other := x.make(w.memory(tables[0], 0)), x.open(w.memory(tables[1], 0))
			var over atomic.Bool
			var loops atomic.Int64
			var wg sync.WaitGroup
			wg.Go(func() {
				for ; !over.Load(); loops.Add(1) {
					must(t, hot.acquire(forever))
					must(t, hot.release())
				}
			})

			until(t, "it is hot", func() bool { return loops.Load() > 1000 })
			within(t, "the other one has its turns", func() {
				for range 200 {
					must(t, other.acquire(forever))
					must(t, other.release())
				}
			})

			over.Store(true)
			wg.Wait()
		})
	}
}

const multitude = 10_000

func threads(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/task")
	must(t, err)
	return len(all)
}

// used returns the CPU time that this process has used.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Ten thousand goroutines wait for one Mutex, or for as many Mutexes. They need no more threads
// than a few goroutines do, and no CPU time. All of them have their turn, or learn that the Mutex
// was closed.
func TestMultitude(t *testing.T) {
	for _, c := range []struct {
		name    string
		objects int
		close   bool
	}{{"one", 1, false}, {"one, closed", 1, true}, {"each its own", multitude, false}, {"each its own, closed", multitude, true}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2)
			owners := make([]*xsync.Mutex, c.objects)
			others := make([]*xsync.Mutex, c.objects)
			for i := range owners {
				at := firstAt + i*4096
				m := xsync.Memory{WaitTable: tables[0], Bytes: w.mem[at : at+4096], Gen: uint32(i + 1), Bucket: uint32(i)}
				owners[i] = xsync.NewMutex(m)
				m.WaitTable = tables[1]
				others[i] = xsync.OpenMutex(m)
				must(t, owners[i].Lock(forever))
			}
			before := threads(t)
			var wg sync.WaitGroup
			var turns, closed, waiting atomic.Int64
			for i := range multitude {
				wg.Go(func() {
					m := []*xsync.Mutex{owners[i%c.objects], others[i%c.objects]}[i/2%2]
					waiting.Add(1)
					switch err := m.Lock(forever); {
					case err == nil:
						turns.Add(1)
						must(t, m.Unlock())
					case errors.Is(err, errs.ErrClosed):
						closed.Add(1)
					default:
						t.Error(err)
					}
				})
			}

			until(t, "all wait", func() bool { return waiting.Load() == multitude })
			settle(t)
			if n := threads(t); n > before+8 {
				t.Errorf("%d threads, %d before", n, before)
			}

			began := time.Now()
			within(t, "all have their turn", func() {
				for _, m := range owners {
					if c.close {
						m.Close(true)
					} else {
						must(t, m.Unlock())
					}
				}
				wg.Wait()
			})
			t.Log(time.Since(began))
			if n := turns.Load(); c.close != (n == 0) || n+closed.Load() != multitude {
				t.Errorf("%d turns, %d closed", n, closed.Load())
			}
		})
	}
}

// settle returns when the process has used almost no CPU time in a span of 200 ms.
func settle(t *testing.T) {
	t.Helper()
	until(t, "who waits does not compute", func() bool {
		before := used(t)
		time.Sleep(200 * time.Millisecond)
		return used(t)-before < 10*time.Millisecond
	})
}

// With GOMAXPROCS=1, a goroutine that sleeps in the kernel does not block others.
func TestOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w := newWorld(t)
	tables := w.waitTables(1, 2)
	xsync.NewMutex(w.memory(tables[0], 0))
	churn(t, func() func(r *rand.Rand, table int, ctx context.Context) {
		all := each(w, tables, 0, xsync.OpenMutex)
		return func(_ *rand.Rand, table int, ctx context.Context) {
			if all[table].Lock(ctx) == nil {
				must(t, all[table].Unlock())
			}
		}
	}(), 2)
}

// The race detector reports nothing for two goroutines that use one Mutex.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	m := xsync.NewMutex(w.memory(w.waitTables(1)[0], 0))
	n := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 1000 {
				must(t, m.Lock(forever))
				n++
				must(t, m.Unlock())
			}
		})
	}

	wg.Wait()
	if n != 2000 {
		t.Error(n)
	}
}
