//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

type thinArray struct {
	Len   int
	Every int // distance between runs of ones; 0 for no runs
	Some  int // length of a run
}

var makeThin = mp.Register("makeThin", func(_ context.Context, in thinArray) (*ipc.Array[byte], error) {
	a, err := ipc.NewArray[byte](in.Len)
	if err != nil || in.Every == 0 {
		return a, err
	}
	for i := in.Every; i < in.Len; i += in.Every {
		for j := range in.Some {
			a.Slice()[i+j] = 1
		}
	}
	return a, nil
})

// Whatever its length, an Array takes no memory until it is written. A process that keeps huge
// Arrays of one worker can still receive objects of other workers.
func TestHugeArrayOfOneWorker(t *testing.T) {
	mptest.NoLeaks(t)
	corrupt, err1 := mp.NewPool(mp.PoolConfig{Workers: 1})
	honest, err2 := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(corrupt.Close(), honest.Close()); err != nil {
			t.Error(err)
		}
	}()

	var kept []*ipc.Array[byte]
	for n := 1<<46 - 1<<20; n > 1<<20; n /= 2 { // as many as this process accepts
		a, err := mp.Call(t.Context(), corrupt, makeThin, thinArray{Len: n})
		if err == nil {
			kept = append(kept, a)
		}
	}

	a, err := mp.Call(t.Context(), honest, makeThin, thinArray{Len: 4 << 20})
	if err != nil {
		t.Fatal("another worker's: ", err)
	}
	for _, a := range append(kept, a) {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Copy allocates memory only in proportion to what another process has written to an Array. It
// fails for a large Array that is mostly unwritten.
func TestCopyOfThinArray(t *testing.T) {
	if testing.Short() {
		t.Skip("it copies arrays of hundreds of megabytes")
	}

	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for name, c := range map[string]struct {
		in thinArray
		ok bool
	}{
		"nothing of little": {thinArray{Len: 8 << 20}, true},
		"a half of much":    {thinArray{100 << 20, 8 << 20, 4 << 20}, true},
		"nothing of much":   {thinArray{Len: 3 << 30}, false},
		"nothing of all":    {thinArray{Len: 1 << 44}, false},
		"a page of much":    {thinArray{100 << 20, 50 << 20, 1}, false},
	} {
		a, err := mp.Call(t.Context(), pool, makeThin, c.in)
		if err != nil {
			t.Fatal(name, err)
		}

		begun := time.Now()
		b, err := a.Copy()
		if c.ok != (err == nil) || c.ok && len(b) != c.in.Len || !c.ok && b != nil {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("%s: it took %v", name, d)
		}
		for i := range b {
			want := c.in.Every > 0 && i >= c.in.Every && i%c.in.Every < c.in.Some
			if want != (b[i] == 1) {
				t.Fatalf("%s: %d at %d", name, b[i], i)
			}
		}

		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if b, err := a.Copy(); b != nil || err == nil {
			t.Errorf("%s: closed: %d bytes, %v", name, len(b), err)
		}
	}
}
