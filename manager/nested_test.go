//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// M2 M8: objects can contain proxies. Every process sees the same object, whichever way the process
// found it. This includes a queue in a list, and a list in a dict.
func TestNested(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	inner := must(manager.NewList(ctx, m, []int{1}))
	outer := must(manager.NewList(ctx, m, []*manager.List[int]{inner}))
	_, _ = outer.Append(ctx, inner)
	found := must(outer.Get(ctx, 1))
	if _, err := found.Append(ctx, 2); err != nil {
		t.Fatal(err)
	}

	for i := range 2 {
		if n, err := must(outer.Get(ctx, i)).Len(ctx); n != 2 || err != nil {
			t.Error(n, err)
		}
	}

	q := must(manager.NewQueue[string](ctx, m, 0))
	d := must(manager.NewDict[string, struct {
		Queues []*manager.Queue[string]
		Lists  map[string]*manager.List[int]
	}](ctx, m))

	v, _, _ := d.Get(ctx, "x")
	v.Queues = append(v.Queues, q)
	v.Lists = map[string]*manager.List[int]{"inner": inner}
	if err := d.Set(ctx, "x", v); err != nil {
		t.Fatal(err)
	}

	v, _, err := d.Get(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	_ = q.Put(ctx, "through the queue in the dict")
	if s, err := v.Queues[0].Get(ctx); s != "through the queue in the dict" || err != nil {
		t.Error(s, err)
	}
	if n, err := v.Lists["inner"].Len(ctx); n != 2 || err != nil {
		t.Error(n, err)
	}
	any1 := must(manager.NewList[any](ctx, m, nil))
	if _, err := any1.Append(ctx, 1, "x"); err != nil {
		t.Error(err)
	}
}

// An object lives as long as a process or another object has it, or as long as it has a name.
func TestLives(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{Linger: time.Millisecond})
	objects := func() int { return stats(t, m).Objects }
	outer := must(manager.NewDict[int, *manager.List[int]](ctx, m))
	func() {
		for i := range 10 {
			_ = outer.Set(ctx, i, must(manager.NewList(ctx, m, []int{i})))
		}
	}()

	collected := func(n int) {
		t.Helper()
		until(t, fmt.Sprint(n, " objects"), func() bool { runtime.GC(); return objects() == n })
	}

	collected(11)
	for i := range 10 { // no object has gone with its proxy
		l, _, err := outer.Get(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := l.Get(ctx, 0); v != i || err != nil {
			t.Error(v, err)
		}
	}

	third, _, _ := outer.Get(ctx, 3)
	_, _ = outer.Delete(ctx, 1, 2, 3)
	collected(9)
	if v, err := third.Get(ctx, 0); v != 3 || err != nil {
		t.Error(v, err)
	}

	_ = outer.Clear(ctx)
	collected(2)
	_ = third.Close()
	if _, err := third.Len(ctx); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}

	if n := objects(); n != 1 {
		t.Error(n)
	}
	named := must(manager.NewList(ctx, m, []int{1, 2}, manager.Named("the list")))
	_ = named.Close()
	if l := must(manager.NewList(ctx, m, []int{7}, manager.Named("the list"))); must(l.Len(ctx)) != 2 {
		t.Error("another one by the name")
	}
	if _, err := manager.NewSet(ctx, m, []int{7}, manager.Named("the list")); !errors.Is(err, manager.ErrKind) {
		t.Error(err)
	}
	if was, err := m.Forget(ctx, "the list"); !was || err != nil {
		t.Error(was, err)
	}
	if was, err := m.Forget(ctx, "the list"); was || err != nil {
		t.Error(was, err)
	}
	collected(1)
	runtime.KeepAlive(outer)
}

var makeList = mp.Register("makeList", func(ctx context.Context, m *manager.Manager) (*manager.List[string], error) {
	return manager.NewList(ctx, m, []string{"from a worker"})
})

var lengthOf = mp.Register("lengthOf", func(ctx context.Context, l map[string]*manager.List[string]) (int, error) {
	return l["x"].Len(ctx)
})

// Proxies can be sent in arguments, results, queues and pipes. An object whose proxy a task
// returned lives on even if the worker that made the object is dead.
func TestProxiesTravel(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	pool := newPool(t, mp.PoolConfig{Workers: 1, Recycle: mp.Recycle{Tasks: 1}})
	l, err := mp.Call(ctx, pool, makeList, m)
	if err != nil {
		t.Fatal(err)
	}

	if v, err := l.Get(ctx, 0); v != "from a worker" || err != nil {
		t.Error(v, err)
	}

	q, err := ipc.NewQueue[*manager.List[string]]()
	if err != nil {
		t.Fatal(err)
	}

	defer q.Discard()
	_ = q.Put(ctx, l)
	fromQueue := must(q.Get(ctx))
	_, _ = fromQueue.Append(ctx, "from a queue")
	if n, err := mp.Call(ctx, pool, lengthOf, map[string]*manager.List[string]{"x": l}); n != 2 || err != nil {
		t.Error(n, err)
	}
	inline := must(mp.NewInline(mp.InlineConfig{}))
	if n, err := mp.Call(ctx, inline, lengthOf, map[string]*manager.List[string]{"x": l}); n != 2 || err != nil {
		t.Error(n, err)
	}
	_ = inline.Close()
	var d manager.Dict[string, int]
	if err := d.UnmarshalBinary(must(l.MarshalBinary())); !errors.Is(err, manager.ErrKind) {
		t.Error(err)
	}

	for _, b := range [][]byte{nil, make([]byte, 10), make([]byte, 100)} {
		if err := d.UnmarshalBinary(b); err == nil {
			t.Errorf("made of %x", b)
		}
	}
}

// A call that would make an object contain itself, even indirectly, or nest objects too deep is
// refused and changes nothing.
func TestNesting(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{Limits: manager.Limits{Nesting: 5}})
	d := must(manager.NewDict[string, any](ctx, m))
	if err := d.Set(ctx, "itself", d); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	l := must(manager.NewList[any](ctx, m, nil, nil, manager.Named("l")))
	if _, err := l.Append(ctx, l); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	e := must(manager.NewDict[string, any](ctx, m))
	if err := d.Set(ctx, "e", e); err != nil {
		t.Error(err)
	}
	if err := e.Set(ctx, "d", d); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}
	last := e
	for i := range 10 {
		next := must(manager.NewDict[string, any](ctx, m))
		err := last.Set(ctx, "next", next)
		if (err != nil) != (i >= 4) {
			t.Error(i, err)
		}
		if err == nil {
			last = next
		}
	}

	_, _ = d.Delete(ctx, "e") // now there is one level fewer
	if err := last.Set(ctx, "next", must(manager.NewDict[string, any](ctx, m))); err != nil {
		t.Error(err)
	}
	if n := must(d.Len(ctx)); n != 0 {
		t.Error(n)
	}
}

func init() {
	mp.RegisterType[*manager.Dict[string, any]]()
	mp.RegisterType[*manager.List[any]]()
}
