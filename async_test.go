//go:build linux

package mp_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

var turns atomic.Int64

// takeTurn returns how often it has been called in its process, this call included.
var takeTurn = mp.Register("takeTurn", func(context.Context, struct{}) (int, error) { return int(turns.Add(1)), nil })

type ender interface {
	mp.Executor
	Shutdown(context.Context) error
}

// enders returns constructors of executors of each kind with one worker.
func enders(t *testing.T) map[string]func(t *testing.T) ender {
	pool := func(t *testing.T) ender { return newPool(t, mp.PoolConfig{Workers: 1}) }
	return map[string]func(t *testing.T) ender{
		"Pool": pool,
		"inline": func(t *testing.T) ender {
			t.Setenv("MPDEBUG", "inline")
			return pool(t)
		},
		"Inline": func(t *testing.T) ender {
			mptest.NoLeaks(t)
			x, err := mp.NewInline(mp.InlineConfig{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = x.Close() })
			return x
		},
	}
}

// Tasks submitted before Shutdown run, whichever call submitted them.
func TestAsyncThenShutdown(t *testing.T) {
	for name, open := range enders(t) {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				ex := open(t)
				one := mp.Submit(t.Context(), ex, square, 3)
				many := mp.MapAsync(t.Context(), ex, square, []int{1, 2, 3})
				if err := ex.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n, err := one.Result(t.Context()); n != 9 || err != nil {
					t.Error(n, err)
				}
				if all, err := many.Result(t.Context()); !slices.Equal(all, []int{1, 4, 9}) || err != nil {
					t.Error(all, err)
				}
				if all, err := mp.MapAsync(t.Context(), ex, square, []int{1}).Result(t.Context()); len(all) != 1 || err == nil {
					t.Error(all, err)
				}
			}
		})
	}
}

// Tasks start in the order of the calls that submit them.
func TestAsyncOrder(t *testing.T) {
	for name, open := range enders(t) {
		t.Run(name, func(t *testing.T) {
			ex := open(t)
			var all []*mp.Future[[]int]
			for range 200 {
				all = append(all, mp.MapAsync(t.Context(), ex, takeTurn, make([]struct{}, 1)))
			}

			last := 0
			for _, f := range all {
				got, err := f.Result(t.Context())
				if err != nil || got[0] <= last {
					t.Fatal(last, got, err)
				}
				last = got[0]
			}
		})
	}
}

// A batch that is cancelled before its turn does not delay later batches, and does not let them
// start before earlier ones.
func TestAsyncCancelled(t *testing.T) {
	for name, open := range enders(t) {
		t.Run(name, func(t *testing.T) {
			ex := open(t)
			ctx, release := context.WithCancel(t.Context())
			first := mp.Submit(ctx, ex, waitForEnd, struct{}{})
			second := mp.MapAsync(t.Context(), ex, takeTurn, make([]struct{}, 1))
			cancelled, cancel := context.WithCancel(t.Context())
			third := mp.MapAsync(cancelled, ex, takeTurn, make([]struct{}, 1))
			fourth := mp.MapAsync(t.Context(), ex, takeTurn, make([]struct{}, 1))
			cancel()
			if _, err := third.Result(t.Context()); err == nil {
				t.Error("it was not cancelled")
			}
			release()
			_, _ = first.Result(t.Context())
			two, err := second.Result(t.Context())
			if err != nil {
				t.Fatal(err)
			}

			four, err := fourth.Result(t.Context())
			if err != nil || four[0] <= two[0] {
				t.Error(two, four, err)
			}
		})
	}
}
