//go:build linux

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// follower records the progress reports, and fails the test if they are inconsistent.
type follower struct {
	t    *testing.T
	busy atomic.Bool
	all  []mp.Progress
}

func (f *follower) told(p mp.Progress) {
	if f.busy.Swap(true) {
		f.t.Error("told twice at a time")
	}
	defer f.busy.Store(false)
	if n := len(f.all); n > 0 {
		last := f.all[n-1]
		if last.Over || p.Done < last.Done || p.Failed < last.Failed || p.Elapsed < last.Elapsed || last.Total >= 0 && p.Total != last.Total {
			f.t.Errorf("%+v after %+v", p, last)
		}
	}
	if p.Failed > p.Done || p.Total >= 0 && p.Done > p.Total {
		f.t.Errorf("%+v", p)
	}
	f.all = append(f.all, p)
}

// last returns the last report without the time.
func (f *follower) last() mp.Progress {
	f.t.Helper()
	if len(f.all) == 0 {
		f.t.Fatal("told nothing")
	}
	p := f.all[len(f.all)-1]
	p.Elapsed = 0
	return p
}

// stepping is an element whose task waits for an event if there is one.
type stepping struct {
	N    int
	Wait *ipc.Event
}

var step = mp.Register("step", func(ctx context.Context, s stepping) (int, error) {
	if s.Wait != nil {
		if err := s.Wait.Wait(ctx); err != nil {
			return 0, err
		}
	}
	if s.N < 0 {
		return 0, errors.New("below zero")
	}
	return s.N, nil
})

// B1: progress is reported when a Map begins, while it runs, and before it returns.
func TestMapProgress(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	for name, ex := range map[string]mp.Executor{"pool": newPool(t, mp.PoolConfig{Workers: 2}), "inline": must(mp.NewInline(mp.InlineConfig{}))} {
		t.Run(name, func(t *testing.T) {
			event := must(ipc.NewEvent())
			defer event.Close()
			in := make([]stepping, 1000)
			for i := range in {
				in[i].N = i
			}

			in[400].N, in[700].N = -1, -1
			in[999].Wait = event
			f, second := &follower{t: t}, &follower{t: t}
			seen := false
			_, err := mp.Map(ctx, ex, step, in, mp.AllErrors(), mp.OnProgress(f.told), mp.OnProgress(second.told), mp.OnProgress(func(p mp.Progress) {
				if p.Done > 0 && !p.Over { // while it runs
					seen = true
					_ = event.Set()
				}
			}))

			var failed mp.ElementErrors
			if !errors.As(err, &failed) || len(failed) != 2 {
				t.Error(err)
			}

			if p := f.last(); p != (mp.Progress{Done: 1000, Failed: 2, Total: 1000, Over: true}) || !seen {
				t.Errorf("%+v, seen %v", p, seen)
			}
			if first := f.all[0]; first.Over || first.Total != 1000 || second.last() != f.last() {
				t.Errorf("%+v, %+v", first, second.last())
			}
		})
	}
}

// A Map that fails, or cannot start, also reports its end.
func TestProgressOfFailures(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	follow := func(in []stepping, opts ...mp.MapOption) mp.Progress {
		f := &follower{t: t}
		_, _ = mp.Map(ctx, pool, step, in, append(opts, mp.OnProgress(f.told))...)
		return f.last()
	}

	if p := follow([]stepping{{N: 1}, {N: -1}, {N: 2}, {N: 3}}, mp.ChunkSize(1)); p.Failed != 1 || p.Done < 1 || p.Done > 4 || !p.Over {
		t.Errorf("%+v", p)
	}
	if p := follow(nil); p != (mp.Progress{Over: true}) {
		t.Errorf("%+v", p)
	}
	if p := follow(make([]stepping, 3), mp.ChunkSize(-1)); p != (mp.Progress{Total: 3, Over: true}) {
		t.Errorf("%+v", p)
	}

	over, cancel := context.WithCancel(ctx)
	cancel()
	f := &follower{t: t}
	if _, err := mp.Map(over, pool, step, make([]stepping, 3), mp.OnProgress(f.told)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if p := f.last(); !p.Over || p.Done > 3 {
		t.Errorf("%+v", p)
	}
}

// Elements that the end of the context cancelled are not counted, whether the caller asks for all
// errors or not. Elements that failed on their own are counted.
func TestProgressOfCancelled(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) mp.Executor{
		"pool":   func(t *testing.T) mp.Executor { return newPool(t, mp.PoolConfig{Workers: 2}) },
		"inline": func(*testing.T) mp.Executor { return must(mp.NewInline(mp.InlineConfig{Workers: 2})) },
	} {
		for _, why := range []error{nil, errors.New("why")} {
			t.Run(fmt.Sprintf("%s/%v", name, why), func(t *testing.T) {
				ex := open(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				event := must(ipc.NewEvent())
				defer event.Close()
				in := make([]stepping, 100)
				in[1].N = -1
				for i := 3; i < len(in); i++ {
					in[i].Wait = event // an event that is never set
				}
				f := &follower{t: t}
				_, err := mp.Map(ctx, ex, step, in, mp.AllErrors(), mp.ChunkSize(1), mp.OnProgress(f.told), mp.OnProgress(func(p mp.Progress) {
					if p.Done == 3 && !p.Over {
						cancel(why)
					}
				}))
				var failed mp.ElementErrors
				if !errors.As(err, &failed) || len(failed) != 98 || !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if p := f.last(); p != (mp.Progress{Done: 3, Failed: 1, Total: 100, Over: true}) {
					t.Errorf("%+v", p)
				}
			})
		}
	}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, opts := range [][]mp.MapOption{nil, {mp.AllErrors()}} {
		t.Run(fmt.Sprint("cancelled before, options: ", len(opts)), func(t *testing.T) {
			f := &follower{t: t}
			_, _ = mp.Map(over, newPool(t, mp.PoolConfig{Workers: 1}), step, make([]stepping, 3), append(opts, mp.OnProgress(f.told))...)
			if p := f.last(); p != (mp.Progress{Total: 3, Over: true}) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// The total of a stream is reported when its input has ended. Cancelled elements are not counted.
func TestStreamProgress(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	in := make([]stepping, 300)
	in[7].N = -1
	var endless iter.Seq[stepping] = func(yield func(stepping) bool) {
		for yield(stepping{}) {
		}
	}
	f := &follower{t: t}
	n := 0
	for range mp.Stream(ctx, pool, step, slices.Values(in), mp.OnProgress(f.told)) {
		n++
	}

	if p := f.last(); p != (mp.Progress{Done: 300, Failed: 1, Total: 300, Over: true}) || n != 300 {
		t.Errorf("%+v", p)
	}
	if first := f.all[0]; first.Over || first.Total > 300 || first.Total > 0 && first.Total < 300 {
		t.Errorf("%+v", first)
	}
	f = &follower{t: t}
	for r, err := range mp.StreamUnordered(ctx, pool, step, endless, mp.OnProgress(f.told)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Index > 50 {
			break
		}
	}

	if p := f.last(); p.Total != -1 || p.Failed != 0 || p.Done < 1 || !p.Over {
		t.Errorf("%+v", p)
	}
	f = &follower{t: t}
	for _, err := range mp.Stream(ctx, pool, step, slices.Values(in), mp.OnProgress(f.told), mp.ChunkSize(-1)) {
		if err == nil {
			t.Error("no error")
		}
	}

	if p := f.last(); p != (mp.Progress{Total: -1, Over: true}) {
		t.Errorf("%+v", p)
	}
}
