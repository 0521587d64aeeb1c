//go:build linux

package manager_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/manager"
)

// unchanged is a function that returns the proxy it is given.
var unchanged = manager.Function("unchanged", func(_ context.Context, l *manager.List[int], _ int) (*manager.List[int], error) {
	return l, nil
})

// shelf is an object that keeps proxies for other objects in its own manager.
type shelf struct {
	m  *manager.Manager
	mu sync.Mutex
	l  *manager.List[int]
}

func (s *shelf) Keep(_ context.Context, l *manager.List[int]) (struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l = l
	return struct{}{}, nil
}

func (s *shelf) Length(ctx context.Context, _ struct{}) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l.Len(ctx)
}

func (s *shelf) Fresh(ctx context.Context, _ struct{}) (*manager.List[int], error) {
	return manager.NewList(ctx, s.m, []int{1})
}

func (s *shelf) Collect(context.Context, struct{}) (struct{}, error) {
	runtime.GC()
	return struct{}{}, nil
}

var (
	shelves     = manager.Type("shelf", func(_ context.Context, m *manager.Manager) (*shelf, error) { return &shelf{m: m}, nil })
	keepOnShelf = manager.Method("keepOnShelf", (*shelf).Keep)
	onShelf     = manager.Method("onShelf", (*shelf).Length)
	freshOne    = manager.Method("freshOne", (*shelf).Fresh)
	collect     = manager.Method("collect", (*shelf).Collect)
)

// Functions and methods use proxies of the manager in which they run. Objects that passed through
// them are released when no process has the objects any longer.
func TestReturnedObjectsGo(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	s := must(manager.New(ctx, m, shelves, m))
	d := must(manager.NewDict[string, *manager.List[int]](ctx, m))
	before := stats(t, m).Objects
	for range 10 {
		l := must(manager.NewList(ctx, m, []int{1}))
		_ = d.Set(ctx, "x", l)
		_ = l.Close()
		changed, err := manager.Update(ctx, d, "x", unchanged, 0)
		if err != nil {
			t.Fatal(err)
		}

		_ = changed.Close()
		if err := manager.UpdateAll(ctx, d, unchanged, map[string]int{"x": 0}); err != nil {
			t.Error(err)
		}

		_, _ = d.Delete(ctx, "x")
		fresh, err := manager.Invoke(ctx, s, freshOne, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := fresh.Len(ctx); n != 1 || err != nil {
			t.Error(n, err)
		}
		_ = fresh.Close()
	}

	until(t, "all have gone", func() bool {
		_, err := manager.Invoke(ctx, s, collect, struct{}{})
		return err == nil && stats(t, m).Objects == before
	})
}

// An object that a method keeps lives on, even if the caller gives the object up at once.
func TestKeptByMethod(t *testing.T) {
	ctx := soon(t)
	m, _ := remote(t, manager.Config{})
	s := must(manager.New(ctx, m, shelves, m))
	busy, calm := context.WithCancel(ctx)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for m.Ping(busy) == nil {
			}
		})
	}

	for range 1000 {
		l := must(manager.NewList(ctx, m, []int{1}))
		must(manager.Invoke(ctx, s, keepOnShelf, l))
		_ = l.Close()
		if n, err := manager.Invoke(ctx, s, onShelf, struct{}{}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}

	calm()
	all.Wait()
}

// lateAccounts makes accounts, but only after the callers have stopped waiting. It uses files
// beside the file that Close leaves: one to say that it has begun, and one to learn that its caller
// has gone.
var lateAccounts = manager.Type("lateAccount", func(ctx context.Context, o opening) (*account, error) {
	if err := os.WriteFile(o.Left+".begun", nil, 0o600); err != nil {
		return nil, err
	}
	<-ctx.Done()
	for {
		if _, err := os.Stat(o.Left + ".gone"); err == nil {
			return &account{left: o.Left}, nil
		}
		time.Sleep(time.Millisecond)
	}
})

// An object that was made too late is closed.
func TestMadeInVain(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	left := filepath.Join(t.TempDir(), "left")
	exists := func(path string) func() bool {
		return func() bool { _, err := os.Stat(path); return err == nil }
	}

	short, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		_, err := manager.New(short, m, lateAccounts, opening{Left: left})
		failed <- err
	}()

	until(t, "it is being made", exists(left+".begun"))
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := os.WriteFile(left+".gone", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "it is closed", exists(left))
}

// If a Swap fails, no client keeps the value that the Swap would have returned.
func TestSwapInVain(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{Limits: manager.Limits{Bytes: 2000}})
	type parcel struct {
		List  *manager.List[int]
		Bytes []byte
	}

	d := must(manager.NewDict[int, parcel](ctx, m))
	v := must(manager.NewValue(ctx, m, parcel{}))
	all := must(manager.NewList[parcel](ctx, m, []parcel{{}}))
	l := must(manager.NewList[int](ctx, m, nil))
	if err := errors.Join(d.Set(ctx, 1, parcel{List: l}), v.Store(ctx, parcel{List: l}), all.Set(ctx, 0, parcel{List: l}), l.Close()); err != nil {
		t.Fatal(err)
	}

	before := stats(t, m).Objects
	large := parcel{Bytes: make([]byte, 3000)}
	_, _, err := d.Swap(ctx, 1, large)
	_, err2 := v.Swap(ctx, large)
	_, err3 := all.Swap(ctx, 0, large)
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, manager.ErrLimit) {
			t.Error(err)
		}
	}

	if err := errors.Join(d.Clear(ctx), v.Store(ctx, parcel{}), all.Clear(ctx)); err != nil {
		t.Error(err)
	}
	if n := stats(t, m).Objects; n != before-1 {
		t.Error(n, "objects of", before)
	}
}
