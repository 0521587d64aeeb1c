//go:build linux

package mp_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

type parcel struct {
	Fails bool
	Bytes []byte
}

var passParcel = mp.Register("passParcel", func(_ context.Context, p *parcel) (*parcel, error) {
	if p.Fails {
		return nil, errors.New("it fails")
	}
	return p, nil
})

// parcels counts the parcels that the collector has not freed.
type parcels struct{ left atomic.Int64 }

func (c *parcels) track(p *parcel) *parcel {
	if p != nil {
		c.left.Add(1)
		runtime.AddCleanup(p, func(c *parcels) { c.left.Add(-1) }, c)
	}
	return p
}

func (c *parcels) make(fails ...bool) (all []*parcel) {
	for _, f := range fails {
		all = append(all, c.track(&parcel{f, make([]byte, 100<<10)}))
	}
	return all
}

func (c *parcels) results(all ...*parcel) {
	for _, p := range all {
		c.track(p)
	}
}

// freed waits until the collector has freed all parcels.
func (c *parcels) freed(t *testing.T) {
	t.Helper()
	until(t, "all is freed", func() bool { runtime.GC(); return c.left.Load() == 0 })
}

// uses are the ways to use an executor with arguments and results.
var uses = map[string]func(t *testing.T, ex mp.Executor, c *parcels){
	"Call": func(t *testing.T, ex mp.Executor, c *parcels) {
		p, err := mp.Call(t.Context(), ex, passParcel, c.make(false)[0])
		c.results(p)
		_, bad := mp.Call(t.Context(), ex, passParcel, c.make(true)[0])
		if err != nil || bad == nil {
			t.Error(err, bad)
		}
	},
	"Call with a timeout": func(t *testing.T, ex mp.Executor, c *parcels) {
		p, err := mp.Call(t.Context(), ex, passParcel, c.make(false)[0], mp.Timeout(time.Minute))
		if c.results(p); err != nil {
			t.Error(err)
		}
	},
	"Submit": func(t *testing.T, ex mp.Executor, c *parcels) {
		p, err := mp.Submit(t.Context(), ex, passParcel, c.make(false)[0]).Result(t.Context())
		if c.results(p); err != nil {
			t.Error(err)
		}
	},
	"cancelled": func(t *testing.T, ex mp.Executor, c *parcels) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := mp.Submit(ctx, ex, passParcel, c.make(false)[0])
		f.Cancel()
		p, _ := f.Result(t.Context())
		c.results(p)
	},
	"Map": func(t *testing.T, ex mp.Executor, c *parcels) {
		all, err := mp.Map(t.Context(), ex, passParcel, c.make(make([]bool, 20)...), mp.Timeout(time.Minute))
		if c.results(all...); err != nil {
			t.Error(err)
		}
	},
	"Map that fails": func(t *testing.T, ex mp.Executor, c *parcels) {
		all, err := mp.Map(t.Context(), ex, passParcel, c.make(false, true, false, true), mp.AllErrors())
		if c.results(all...); err == nil {
			t.Error("no error")
		}
	},
	"MapAsync": func(t *testing.T, ex mp.Executor, c *parcels) {
		all, err := mp.MapAsync(t.Context(), ex, passParcel, c.make(make([]bool, 20)...)).Result(t.Context())
		if c.results(all...); err != nil {
			t.Error(err)
		}
	},
	"Stream": func(t *testing.T, ex mp.Executor, c *parcels) {
		for p, err := range mp.Stream(t.Context(), ex, passParcel, slices.Values(c.make(make([]bool, 20)...))) {
			if c.results(p); err != nil {
				t.Error(err)
			}
		}
	},
	"Stream that is left": func(t *testing.T, ex mp.Executor, c *parcels) {
		next, stop := iter.Pull2(mp.Stream(t.Context(), ex, passParcel, slices.Values(c.make(make([]bool, 20)...))))
		p, err, _ := next()
		if c.results(p); err != nil {
			t.Error(err)
		}
		stop()
	},
}

// The collector can free arguments and results once the caller no longer uses them, even if the
// executor lives on and is idle.
func TestRetention(t *testing.T) {
	executors := map[string]func(t *testing.T) mp.Executor{
		"Pool": func(t *testing.T) mp.Executor { return newPool(t, mp.PoolConfig{Workers: 2}) },
		"inline": func(t *testing.T) mp.Executor {
			t.Setenv("MPDEBUG", "inline")
			return newPool(t, mp.PoolConfig{Workers: 2})
		},
		"Inline": func(t *testing.T) mp.Executor {
			mptest.NoLeaks(t)
			x, err := mp.NewInline(mp.InlineConfig{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = x.Close() })
			return x
		},
	}

	for name, open := range executors {
		t.Run(name, func(t *testing.T) {
			ex := open(t)
			for name, use := range uses {
				t.Run(name, func(t *testing.T) {
					var c parcels
					use(t, ex, &c)
					c.freed(t)
				})
			}
		})
	}
}

// A running Process does not keep its argument, and a closed one does not keep its result.
func TestRetentionOfProcess(t *testing.T) {
	var c parcels
	p, err := mp.NewProcess(passParcel, c.make(false)[0], mp.ProcessConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}

	c.freed(t)
	result, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.results(result)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.freed(t)

	p, err = mp.NewProcess(passParcel, c.make(false)[0], mp.ProcessConfig{})
	if err == nil {
		err = p.Close()
	}
	if err != nil {
		t.Error(err)
	}
	c.freed(t)
	runtime.KeepAlive(p)
}
