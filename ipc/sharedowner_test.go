//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

var makeAll = mp.Register("makeAll", func(ctx context.Context, size int) (s struct {
	Small, Large *ipc.Array[int]
	Lock         *ipc.Mutex
	PID          int
}, err error) {
	s.PID = os.Getpid()
	s.Small, err = ipc.NewArray[int](1)
	if err == nil {
		s.Large, err = ipc.NewArray[int](size)
	}
	if err == nil {
		s.Lock, err = ipc.NewMutex()
	}
	if err != nil {
		return s, err
	}
	s.Small.Slice()[0], s.Large.Slice()[size-1] = 7, 8
	return s, nil
})

var readBoth = mp.Register("readBoth", func(ctx context.Context, arrays []*ipc.Array[int]) (sum int, err error) {
	for _, a := range arrays {
		s := a.Slice()
		sum += s[len(s)-1]
	}
	return sum, nil
})

// An object that a task has made and returned belongs to the caller. It outlives the worker, can be
// sent to a worker that was started later, and ends with Close.
func TestResultIsTheCallers(t *testing.T) {
	mptest.NoLeaks(t)
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	for range 3 {
		created, err := mp.Call(t.Context(), pool, makeAll, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		if err := created.Lock.Lock(t.Context()); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(created.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "another worker", func() bool {
			w := pool.Workers()
			return len(w) == 1 && w[0].PID != created.PID
		})

		arrays := []*ipc.Array[int]{created.Small, created.Large}
		if sum, err := mp.Call(t.Context(), pool, readBoth, arrays); sum != 15 || err != nil {
			t.Error(sum, err)
		}
		for _, o := range []interface{ Close() error }{created.Small, created.Large, created.Lock} {
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		}

		// V17: sending the handle of a closed object is an error.
		if _, err := mp.Call(t.Context(), pool, readBoth, arrays); !errors.Is(err, mp.ErrClosed) && !isCodecError(err) {
			t.Error(err)
		}
	}
}

func isCodecError(err error) bool {
	var c *mp.CodecError
	return errors.As(err, &c)
}

type blocking struct {
	Lock  *ipc.Mutex
	Ready *ipc.Event
	Array *ipc.Array[int]
	Go    *ipc.Event
}

// holdAndDie takes the lock and waits to be killed.
var holdAndDie = mp.Register("holdAndDie", func(ctx context.Context, b blocking) (int, error) {
	if err := b.Lock.Lock(ctx); err != nil {
		return 0, err
	}
	if err := b.Ready.Set(); err != nil {
		return 0, err
	}
	select {}
})

// After the holder of a lock has died, Lock returns ErrOwnerDied to waiting processes and later
// callers, until Recover succeeds.
func TestOwnerDied(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if err := pool.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := blocking{Lock: newMutex(t), Ready: newEvent(t)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	task := mp.Submit(ctx, pool, holdAndDie, b)
	if err := b.Ready.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ok, err := b.Lock.TryLock(); ok || err != nil { // S1
		t.Error(ok, err)
	}
	if err := b.Lock.Unlock(); !errors.Is(err, ipc.ErrNotHeld) { // S2
		t.Error(err)
	}

	waits := make(chan error)
	go func() { waits <- b.Lock.Lock(t.Context()) }()
	there := mp.Submit(t.Context(), pool, countUnder, counting{Lock: b.Lock, Times: 1})
	for _, w := range pool.Workers() {
		if strings.HasSuffix(w.Func, "holdAndDie") {
			if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}

	if err := <-waits; !errors.Is(err, ipc.ErrOwnerDied) {
		t.Error(err)
	}
	if _, err := there.Result(t.Context()); !errors.Is(err, ipc.ErrOwnerDied) {
		t.Error(err)
	}
	if _, err := task.Result(t.Context()); err == nil {
		t.Error("a killed task has a result")
	}
	if err := b.Lock.Lock(t.Context()); !errors.Is(err, ipc.ErrOwnerDied) {
		t.Error(err)
	}
	if err := b.Lock.Recover(t.Context(), func() error { return fs.ErrInvalid }); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	repaired := 0
	for range 2 {
		if err := b.Lock.Recover(t.Context(), func() error { repaired++; return nil }); err != nil {
			t.Error(err)
		}
	}

	if err := b.Lock.Lock(t.Context()); err != nil || repaired != 1 {
		t.Error(err, repaired)
	}
}

var waitFor = mp.Register("waitFor", func(ctx context.Context, b blocking) (int, error) {
	s := b.Array.Slice()
	if err := b.Ready.Set(); err != nil {
		return 0, err
	}
	if err := b.Go.Wait(ctx); !errors.Is(err, mp.ErrClosed) {
		return 0, fmt.Errorf("the wait ended with %w", err)
	}
	// The owner has already closed the array, and this process may have noticed.
	sum := 0
	for _, n := range s {
		sum += n
	}
	return sum, nil
})

// When the owner closes an object, calls in other processes that wait for the object return. A
// task's slices of the object stay valid until the task ends.
func TestOwnerCloses(t *testing.T) {
	mptest.NoLeaks(t)
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	for range 20 {
		b := blocking{Ready: newEvent(t), Array: newArray[int](t, 1<<17), Go: newEvent(t)}
		b.Array.Slice()[1<<16] = 5
		task := mp.Submit(t.Context(), pool, waitFor, b)
		if err := b.Ready.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _, _ = b.Array.Close(), b.Go.Close(), b.Ready.Close()
		if sum, err := task.Result(t.Context()); sum != 5 || err != nil {
			t.Error(sum, err)
		}
	}

	// The worker unmaps the objects after its next task.
	pid := onePID(t, pool)
	until(t, "the worker has let go", func() bool {
		_ = onePID(t, pool)
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
		return strings.Count(string(b), "memfd:mp-data") == 0 && strings.Count(string(b), "memfd:mp-arena") == 0
	})
}

var closeTheirs = mp.Register("closeTheirs", func(ctx context.Context, e everything) (int, error) {
	for _, o := range []interface{ Close() error }{e.Mutex, e.RW, e.Value, e.Number, e.Large, e.Memory, e.Bounded} {
		if err := o.Close(); err != nil {
			return 0, err
		}
	}
	if err := e.Mutex.Lock(ctx); !errors.Is(err, mp.ErrClosed) {
		return 0, fmt.Errorf("after closing: %w", err)
	}
	return 0, nil
})

// Closing an object that another process has sent closes it only in this process. The owner can
// send the object again.
func TestOthersClose(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	e := newEverything(t)
	for range 2 {
		if _, err := mp.Call(t.Context(), pool, closeTheirs, e); err != nil {
			t.Fatal(err)
		}
		if err := e.use(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

var nestedSharing = mp.Register("nestedSharing", func(ctx context.Context, c counting) (int, error) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		return 0, err
	}
	defer pool.Close()

	own, err := ipc.NewArray[int](1)
	if err != nil {
		return 0, err
	}
	defer own.Close()
	mine := counting{c.Lock, own, c.Times}
	if _, err := mp.Map(ctx, pool, countUnder, []counting{c, mine, mine, c}); err != nil {
		return 0, err
	}
	created, err := mp.Call(ctx, pool, makeAll, 100_000)
	if err != nil {
		return 0, err
	}
	sum := own.Slice()[0] + created.Large.Slice()[99_999]
	return sum, errors.Join(created.Large.Close(), created.Small.Close(), created.Lock.Close())
})

// Processes that workers start can use the objects of their ancestors, and can make objects for
// their ancestors.
func TestSharedByGrandchildren(t *testing.T) {
	mptest.NoLeaks(t)
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	c := counting{newMutex(t), newArray[int](t, 1), 1000}
	got, err := mp.Map(t.Context(), pool, nestedSharing, []counting{c, c})
	if !slices.Equal(got, []int{2008, 2008}) || err != nil {
		t.Error(got, err)
	}
	if n := c.Array.Slice()[0]; n != 4000 {
		t.Errorf("counted %d", n)
	}
}

var onlyArray *ipc.Array[int] // kept by the worker between tasks

var sameArray = mp.Register("sameArray", func(_ context.Context, isolated bool) (_ *ipc.Array[int], err error) {
	if onlyArray == nil {
		var own ipc.Option // a nil option changes nothing
		if isolated {
			own = ipc.Isolated()
		}
		onlyArray, err = ipc.NewArray[int](1, own)
	}
	return onlyArray, err
})

var arrayIsOpen = mp.Register("arrayIsOpen", func(context.Context, int) (bool, error) { return onlyArray.Slice() != nil, nil })

// An object that is in several results of a chunk belongs to the caller, too.
func TestResultsWithTheSameObject(t *testing.T) {
	mptest.NoLeaks(t)
	for _, isolated := range []bool{false, true} {
		pool := newPool(t, mp.PoolConfig{Workers: 1})
		arrays, err := mp.Map(t.Context(), pool, sameArray, slices.Repeat([]bool{isolated}, 100), mp.ChunkSize(50))
		if err != nil {
			t.Fatal(err)
		}

		for _, a := range arrays {
			if a != arrays[0] {
				t.Fatal("not the same")
			}
		}

		_ = arrays[0].Close()
		for i := 0; ; i++ {
			open, err := mp.Call(t.Context(), pool, arrayIsOpen, 0)
			if err != nil {
				t.Fatal(err)
			}
			if !open {
				break
			}
			if i == 1000 {
				t.Fatal("the caller has closed the array, and it is open")
			}
		}
	}
}
