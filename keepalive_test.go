//go:build linux

package mp_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/go-multiprocessing/mp"
)

// O23: a pool keeps neither arguments nor results alive.
func TestNothingIsKeptAlive(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	var alive atomic.Int64
	watched := func() *[]byte {
		b := make([]byte, 300<<10)
		alive.Add(1)
		runtime.AddCleanup(&b, func(int) { alive.Add(-1) }, 0)
		return &b
	}

	func() {
		var futures []*mp.Future[int]
		for range 3 {
			arg := watched()
			if n, err := mp.Call(t.Context(), pool, lengthOf, arg); n != 300<<10 || err != nil {
				t.Fatal(n, err)
			}
			futures = append(futures, mp.Submit(t.Context(), pool, lengthOf, watched()))
			if _, err := mp.Map(t.Context(), pool, lengthOf, []*[]byte{watched(), watched()}); err != nil {
				t.Fatal(err)
			}
		}

		for _, f := range futures {
			if _, err := f.Result(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}()

	until(t, "all arguments are garbage", func() bool { runtime.GC(); return alive.Load() == 0 })
}

var lengthOf = mp.Register("lengthOf", func(_ context.Context, b *[]byte) (int, error) { return len(*b), nil })

// E8: the error of a task tells why the task did not succeed.
func TestErrorsTellTheState(t *testing.T) {
	ended, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	if _, err := mp.Call(ended, pool, square, 1); !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := mp.Call(t.Context(), pool, die, "SIGKILL"); !errors.As(err, new(*mp.WorkerError)) {
		t.Errorf("dead: %v", err)
	}
	_ = pool.Close()
	if _, err := mp.Call(t.Context(), pool, square, 1); !errors.Is(err, mp.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// B13: data that all tasks need can be sent to each worker once, as the argument of its Setup.
func TestSharedOnce(t *testing.T) {
	model := make([]int, 100_000)
	for i := range model {
		model[i] = i * i
	}
	pool := newPool(t, mp.PoolConfig{Workers: 2, Setup: loadModel.With(model)})
	got, err := mp.Map(t.Context(), pool, consult, []int{3, 99_999})
	if err != nil || got[0] != 9 || got[1] != 99_999*99_999 {
		t.Errorf("%v, %v", got, err)
	}
}

var theModel []int

var (
	loadModel = mp.Register("loadModel", func(_ context.Context, m []int) (int, error) { theModel = m; return 0, nil })
	consult   = mp.Register("consult", func(_ context.Context, i int) (int, error) { return theModel[i], nil })
)
