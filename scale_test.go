//go:build linux

package mp_test

import (
	"context"
	"flag"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

var fullScale = flag.Bool("scale.full", false, "run the tests of scale in their full sizes: they take minutes, and 10 GiB of memory")

// scaled returns full in a full-scale run and part otherwise. In short mode it skips the test.
func scaled(t *testing.T, full, part int) int {
	t.Helper()
	if *fullScale {
		return full
	}
	if testing.Short() {
		t.Skip("not in short form")
	}
	return part
}

// footprint describes the resources that this process uses.
type footprint struct{ descriptors, goroutines, heap int }

func footprintNow(t *testing.T) footprint {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{len(entries), runtime.NumGoroutine(), int(m.HeapAlloc)}
}

// Hundreds of workers all get work.
func TestScaleWorkers(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	n := scaled(t, 500, 50)
	pool := newPool(t, mp.PoolConfig{Workers: n, Procs: 1})
	if err := pool.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	// Each task waits for all others.
	all := must(ipc.NewBarrier(n))
	defer all.Close()
	pids, err := mp.Map(ctx, pool, meetAll, slices.Repeat([]*ipc.Barrier{all}, n), mp.ChunkSize(1))
	if err != nil {
		t.Fatal(err)
	}

	slices.Sort(pids)
	if k := len(slices.Compact(pids)); k != n {
		t.Errorf("%d of %d workers had work", k, n)
	}
	out, err := mp.Map(ctx, pool, square, ints(100_000))
	if err != nil || out[99_999] != 99_999*99_999 {
		t.Error(err)
	}
	if s := pool.Stats(); s.Serving != n || s.Died != 0 || len(s.PerWorker) != n {
		t.Errorf("%d serve, %d died", s.Serving, s.Died)
	}
}

var meetAll = mp.Register("meetAll", func(ctx context.Context, b *ipc.Barrier) (int, error) {
	_, err := b.Wait(ctx)
	return os.Getpid(), err
})

func ints(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

// The memory of a stream does not grow with its length.
func TestScaleStream(t *testing.T) {
	mptest.NoLeaks(t)
	n := scaled(t, 1_000_000, 200_000)
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	input := func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}

	var early footprint
	next := 0
	for v, err := range mp.Stream(t.Context(), pool, square, input) {
		if err != nil || v != next*next {
			t.Fatal(next, v, err)
		}
		if next++; next == n/10 {
			early = footprintNow(t)
		}
	}

	if next != n {
		t.Errorf("%d of %d results", next, n)
	}
	if late := footprintNow(t); late.heap > early.heap+8<<20 || late.descriptors > early.descriptors {
		t.Errorf("%+v grew to %+v", early, late)
	}
}

// Pools that are created and closed one after another leave nothing.
func TestScalePools(t *testing.T) {
	mptest.NoLeaks(t)
	n := scaled(t, 10_000, 200)
	var early footprint
	for i := range n {
		pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
		if err != nil {
			t.Fatal(i, err)
		}

		if v, err := mp.Call(t.Context(), pool, square, i); v != i*i || err != nil {
			t.Fatal(i, v, err)
		}
		if err := pool.Close(); err != nil {
			t.Fatal(i, err)
		}
		if i == n/10 {
			early = footprintNow(t)
		}
	}

	until(t, "there is no more than before", func() bool {
		late := footprintNow(t)
		return late.descriptors <= early.descriptors && late.goroutines <= early.goroutines && late.heap <= early.heap+4<<20
	})
}

// A program with a large heap starts workers as fast as a small one, because nothing of the heap is
// copied. Copying the page tables alone takes some 40 ms for 1 GiB; a whole start without that copy
// takes less than 20 ms.
func TestScaleHeap(t *testing.T) {
	mptest.NoLeaks(t)
	if race.Enabled {
		t.Skip("the race detector has several times as much memory")
	}

	size := scaled(t, 8<<30, 2<<30)
	start := func() time.Duration {
		times := make([]time.Duration, 9)
		for i := range times {
			begin := time.Now()
			pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
			if err == nil {
				_, err = mp.Call(t.Context(), pool, square, 1)
			}
			times[i] = time.Since(begin)
			if err != nil {
				t.Fatal(err)
			}
			_ = pool.Close()
		}

		slices.Sort(times)
		return times[len(times)/2]
	}

	small := start()
	heap := make([]byte, size)
	for i := 0; i < len(heap); i += 4096 {
		heap[i] = 1
	}

	large := start()
	runtime.KeepAlive(heap)
	t.Logf("%v with a small heap, %v with %d MiB", small, large, size>>20)
	if large > 4*small {
		t.Errorf("a worker starts in %v with a small heap, and in %v with %d MiB", small, large, size>>20)
	}
}
