//go:build linux

package xsync_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// No wake-up is lost. Without a heartbeat, goroutines of several WaitTables keep making progress
// with locks and permits that others pass on, stop waiting for, or close.
func TestNoWakeUpIsLost(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context){
		"mutex":     churnMutex,
		"rwmutex":   churnRWMutex,
		"semaphore": churnSemaphore,
		"bounded":   churnBounded,
		"cond":      churnCond,
		"recover":   churnRecover,
		"ring":      churnRing(build{3 * 32, xsync.RingShape{Most: 3, Elsewhere: true}}),
		"pipe":      churnRing(build{4096, xsync.RingShape{Most: 3}}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tables := w.waitTables(1, 2, 65) // the first and the last have the same bit in masks
			churn(t, f(t, w, tables), len(tables))
		})
	}
}

// churn calls f in several goroutines for each WaitTable, some of them with a context that ends
// soon.
func churn(t *testing.T, f func(r *rand.Rand, table int, ctx context.Context), tables int) {
	times := 4000
	if testing.Short() {
		times = 1000
	}

	within(t, "everybody gets their turn", func() {
		var wg sync.WaitGroup
		for i := range 4 * tables {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range times {
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if r.IntN(8) == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(200))*time.Microsecond)
					}
					f(r, i%tables, ctx)
					cancel()
				}
			})
		}

		wg.Wait()
	})
}

// each opens an existing object in each WaitTable.
func each[T any](w *world, tables []*park.WaitTable, n int, open func(xsync.Memory) T) (all []T) {
	for _, l := range tables {
		all = append(all, open(w.memory(l, n)))
	}
	return all
}

// conds creates a Mutex and a Cond for it, and opens both in each WaitTable.
func (w *world) conds(tables []*park.WaitTable) (locks []*xsync.Mutex, conds []*xsync.Cond) {
	xsync.NewMutex(w.memory(tables[0], 0))
	locks = each(w, tables, 0, xsync.OpenMutex)
	xsync.NewCond(w.memory(tables[0], 1), locks[0])
	for i, l := range tables {
		conds = append(conds, xsync.OpenCond(w.memory(l, 1), locks[i]))
	}
	return locks, conds
}

// spend takes some time, often none.
func spend(r *rand.Rand) {
	if r.IntN(2) == 0 {
		runtime.Gosched()
	}
	for end := time.Now().Add(time.Duration(r.IntN(4)*r.IntN(10)) * time.Microsecond); time.Now().Before(end); {
	}
}

func churnMutex(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	xsync.NewMutex(w.memory(tables[0], 0))
	all := each(w, tables, 0, xsync.OpenMutex)
	return func(r *rand.Rand, table int, ctx context.Context) {
		if err := all[table].Lock(ctx); err == nil {
			spend(r)
			must(t, all[table].Unlock())
		}
	}
}

func churnRWMutex(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	xsync.NewRWMutex(w.memory(tables[0], 0))
	all := each(w, tables, 0, xsync.OpenRWMutex)
	return func(r *rand.Rand, table int, ctx context.Context) {
		if r.IntN(2) == 0 {
			if err := all[table].RLock(ctx); err == nil {
				must(t, all[table].RUnlock())
			}
		} else if err := all[table].Lock(ctx); err == nil {
			spend(r)
			must(t, all[table].Unlock())
		}
	}
}

func churnSemaphore(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	xsync.NewSemaphore(w.memory(tables[0], 0), 2)
	all := each(w, tables, 0, xsync.OpenSemaphore)
	return func(r *rand.Rand, table int, ctx context.Context) {
		if err := all[table].Acquire(ctx); err == nil {
			must(t, all[table].Release())
		}
	}
}

func churnBounded(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	xsync.NewBounded(w.memory(tables[0], 0), 2)
	all := each(w, tables, 0, xsync.OpenBounded)
	return func(r *rand.Rand, table int, ctx context.Context) {
		if err := all[table].Acquire(ctx); err == nil {
			must(t, all[table].Release())
		}
	}
}

// churnCond passes tokens: a goroutine waits for a token before it takes one, and signals after it
// has put one back.
func churnCond(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	locks, conds := w.conds(tables)
	tokens := w.tally(2) // for the race detector, two handles to one lock are two locks
	tokens.Store(3)
	return func(r *rand.Rand, table int, ctx context.Context) {
		must(t, locks[table].Lock(forever))
		for tokens.Load() == 0 {
			if conds[table].Wait(ctx) != nil {
				break
			}
		}

		took := tokens.Load() > 0
		if took {
			tokens.Add(^uint64(0))
		}

		must(t, locks[table].Unlock())
		if !took {
			return
		}
		spend(r)
		must(t, locks[table].Lock(forever))
		tokens.Add(1)
		must(t, conds[table].Signal())
		must(t, locks[table].Unlock())
	}
}

// churnRecover makes goroutines call Recover while others lock and unlock.
func churnRecover(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	xsync.NewMutex(w.memory(tables[0], 0))
	w.mailboxes.Occupy(9)
	dead := xsync.OpenMutex(w.memory(w.waitTable(9), 0))
	all := each(w, tables, 0, xsync.OpenMutex)
	return func(r *rand.Rand, table int, ctx context.Context) {
		if r.IntN(20) == 0 { // a process that dies at once
			if ok, _ := dead.TryLock(); ok {
				xsync.Reap(xsync.KindMutex, w.bytes(0), 9)
				w.mailboxes.RingAll()
			}
		}

		if r.IntN(2) == 0 {
			_ = all[table].Recover(ctx, func() error { spend(r); return nil })
		} else if err := all[table].Lock(ctx); err == nil {
			spend(r)
			must(t, all[table].Unlock())
		}
	}
}

// A reader that only tries to enter while one writer leaves and another arrives does not block the
// second writer.
func TestReaderLooksIn(t *testing.T) {
	w := newWorld(t)
	tables := w.waitTables(1, 2, 3)
	xsync.NewRWMutex(w.memory(tables[0], 0))
	all := each(w, tables, 0, xsync.OpenRWMutex)
	times := 20_000
	if testing.Short() {
		times = 4000
	}

	over := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if ok, _ := all[0].TryRLock(); ok {
				must(t, all[0].RUnlock())
			}
		}
	})

	within(t, "writers go on", func() {
		var wg sync.WaitGroup
		for _, m := range all[1:] {
			wg.Go(func() {
				for range times {
					must(t, m.Lock(forever))
					must(t, m.Unlock())
				}
			})
		}
		wg.Wait()
	})

	close(over)
	reader.Wait()
}

// churnRing passes records on: a goroutine that has received a record puts one, and a goroutine
// that has put a record receives one. So each of them finds a record or room, although at times all
// may wait for the same thing.
func churnRing(b build) func(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
	return func(t *testing.T, w *world, tables []*park.WaitTable) func(r *rand.Rand, table int, ctx context.Context) {
		all := w.rings(tables, 0, b)
		must(t, all[0].tryPut(nil))
		return func(r *rand.Rand, table int, ctx context.Context) {
			here := all[table]
			size := b.sizes(r)
			if r.IntN(2) == 0 {
				if !b.Elsewhere {
					size = min(size, b.size/4-8) // if not, all may wait: two larger records do not fit
				}
				if here.put(ctx, make([]byte, size)) == nil {
					spend(r)
					_, err := here.get(forever)
					must(t, err)
				}
			} else if _, err := here.get(ctx); err == nil {
				spend(r)
				must(t, here.put(forever, make([]byte, size)))
			}
		}
	}
}
