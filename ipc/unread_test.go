//go:build linux

package ipc_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// These tests check that the objects and files in a result are closed if the result is not read.

// loses calls use repeatedly, and checks that nothing of packIt's results is left in this process
// or in the worker.
func loses(t *testing.T, use func(t *testing.T, pool *mp.Pool)) {
	t.Helper()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	use(t, pool) // creates what later calls reuse
	here, there := inventory{}, inventory{}
	until(t, "the worker rests", func() bool {
		last, lastHere := there, here
		here, there = takeInventory(), must(mp.Call(t.Context(), pool, inventIt, 0))
		return here == lastHere && there == last
	})

	for range 3 {
		use(t, pool)
	}
	until(t, "this process has nothing of it", func() bool { return takeInventory().within(here) })
	until(t, "the worker has nothing of it", func() bool {
		return must(mp.Call(t.Context(), pool, inventIt, 0)).within(there)
	})
}

func TestUnreadResults(t *testing.T) {
	all := packing{Files: true}
	t.Run("a stream that is left", func(t *testing.T) {
		loses(t, func(t *testing.T, pool *mp.Pool) {
			for l, err := range mp.Stream(t.Context(), pool, packIt, slices.Values(slices.Repeat([]packing{all}, 20))) {
				if err != nil {
					t.Fatal(err)
				}
				l.unpack()
				break
			}
		})
	})

	t.Run("an unordered stream with a slow loop", func(t *testing.T) {
		loses(t, func(t *testing.T, pool *mp.Pool) {
			n := 0
			for r, err := range mp.StreamUnordered(t.Context(), pool, packIt, slices.Values(slices.Repeat([]packing{all}, 20))) {
				if err != nil {
					t.Fatal(err)
				}
				r.Value.unpack()
				if n++; n == 3 {
					break
				}
				time.Sleep(10 * time.Millisecond) // more results arrive meanwhile
			}
		})
	})

	t.Run("a future", func(t *testing.T) {
		loses(t, func(t *testing.T, pool *mp.Pool) {
			f := mp.Submit(t.Context(), pool, packIt, all)
			<-f.Done()
			if f.Err() != nil {
				t.Fatal(f.Err())
			}
		})
	})

	t.Run("the future of a map", func(t *testing.T) {
		loses(t, func(t *testing.T, pool *mp.Pool) {
			<-mp.MapAsync(t.Context(), pool, packIt, slices.Repeat([]packing{all}, 5)).Done()
		})
	})

	t.Run("a process", func(t *testing.T) {
		loses(t, func(t *testing.T, _ *mp.Pool) {
			p := must(mp.NewProcess(packIt, all, mp.ProcessConfig{}))
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			<-p.Done()
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// Objects in a result stay open when its future is no longer reachable.
func TestResultsOfForgottenFutures(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for name, get := range map[string]func() luggage{
		"Result": func() luggage { return must(mp.Submit(t.Context(), pool, packIt, packing{}).Result(t.Context())) },
		"OnDone": func() luggage {
			got := make(chan luggage, 1)
			mp.Submit(t.Context(), pool, packIt, packing{}).OnDone(func(l luggage, err error) { got <- l })
			return <-got
		},
		"MapAsync": func() luggage {
			return must(mp.MapAsync(t.Context(), pool, packIt, []packing{{}}).Result(context.Background()))[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := get()
			for range 3 {
				runtime.GC()
				time.Sleep(20 * time.Millisecond) // so that cleanups can run
			}
			if l.Array.Len() != 100_000 || len(l.Array.Slice()) != 100_000 || l.Mutex.Lock(t.Context()) != nil || l.Queue.Put(t.Context(), 1) != nil {
				t.Error("it is gone")
			}
			l.unpack()
		})
	}
}

// Dropping a result does not close objects that this process had before.
func TestUnreadResultOfOurs(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	a := must(ipc.NewArray[int64](100_000))
	defer a.Close()
	for range mp.Stream(t.Context(), pool, giveBack, slices.Values(slices.Repeat([]*ipc.Array[int64]{a}, 20))) {
		break
	}
	if a.Slice() == nil {
		t.Error("it is closed")
	}
}

var giveBack = mp.Register("giveBack", func(_ context.Context, a *ipc.Array[int64]) (*ipc.Array[int64], error) { return a, nil })

// An object that was in two results stays open as long as one of the results is in use.
func TestObjectOfTwoResults(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	// The first result brings the object to this process, and is not read.
	<-mp.Submit(t.Context(), pool, sameAgain, 0).Done()
	a := must(mp.Call(t.Context(), pool, sameAgain, 0))
	for range 3 {
		collectGarbage()
		time.Sleep(10 * time.Millisecond) // so that cleanups can run
	}
	if a.Slice() == nil {
		t.Error("it is closed")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

var theArray *ipc.Array[int64]

var sameAgain = mp.Register("sameAgain", func(context.Context, int) (_ *ipc.Array[int64], err error) {
	if theArray == nil {
		theArray, err = ipc.NewArray[int64](100_000)
	}
	return theArray, err
})
