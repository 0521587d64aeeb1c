//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// M5: a Dict has the operations of a map.
func TestDict(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, []int](ctx, m))
	check := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v in the place of %v", what, got, want)
		}
	}

	if v, ok, err := d.Get(ctx, "a"); v != nil || ok || err != nil {
		t.Error(v, ok, err)
	}

	for i, key := range []string{"c", "a", "b"} {
		if err := d.Set(ctx, key, []int{i}); err != nil {
			t.Fatal(err)
		}
	}

	check("keys", must(d.Keys(ctx)), []string{"c", "a", "b"})
	check("length", must(d.Len(ctx)), 3)
	check("has", must(d.Has(ctx, "a")), true)
	check("has not", must(d.Has(ctx, "x")), false)
	v, ok, err := d.Swap(ctx, "a", []int{7})
	check("swap", []any{v, ok, err}, []any{[]int{1}, true, nil})
	v, loaded, err := d.GetOrSet(ctx, "a", []int{8})
	check("loaded", []any{v, loaded, err}, []any{[]int{7}, true, nil})
	v, loaded, err = d.GetOrSet(ctx, "n", nil)
	check("not loaded", []any{v, loaded, err}, []any{[]int(nil), false, nil})
	check("swapped", must(d.CompareAndSwap(ctx, "a", []int{7}, []int{1, 2})), true)
	check("not swapped", must(d.CompareAndSwap(ctx, "a", []int{7}, []int{3})), false)
	check("not there", must(d.CompareAndSwap(ctx, "z", []int{7}, []int{3})), false)
	v, ok, err = d.Pop(ctx, "b")
	check("pop", []any{v, ok, err}, []any{[]int{2}, true, nil})
	v, ok, err = d.Pop(ctx, "b")
	check("pop again", []any{v, ok, err}, []any{[]int(nil), false, nil})
	e, ok, err := d.PopFirst(ctx)
	check("first", []any{e, ok, err}, []any{manager.Entry[string, []int]{Key: "c", Value: []int{0}}, true, nil})
	check("deleted", must(d.Delete(ctx, "n", "n", "q")), 1)
	check("copy", must(d.Copy(ctx)), map[string][]int{"a": {1, 2}})
	check("set all", d.SetAll(ctx, map[string][]int{"a": {5}, "b": {6}}), error(nil))
	check("get all", must(d.GetAll(ctx, "b", "x", "a")), map[string][]int{"a": {5}, "b": {6}})
	check("nothing", must(d.GetAll(ctx)), map[string][]int{})
	check("clear", d.Clear(ctx), error(nil))
	_, ok, err = d.PopFirst(ctx)
	check("empty", []any{ok, err, must(d.Len(ctx))}, []any{false, nil, 0})
}

type point struct{ X, Y int }

// Keys can be of any type whose encoding tells different values apart; other types are refused.
func TestKeys(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	a := must(manager.NewDict[point, string](ctx, m))
	for i := range 10 {
		_ = a.Set(ctx, point{i % 3, i % 2}, fmt.Sprint(i))
	}

	if n, err := a.Len(ctx); n != 6 || err != nil {
		t.Error(n, err)
	}

	if v, _, err := a.Get(ctx, point{0, 1}); v != "9" || err != nil {
		t.Error(v, err)
	}

	b := must(manager.NewDict[[2]string, bool](ctx, m))
	_ = b.Set(ctx, [2]string{"a", "b"}, true)
	if ok, err := b.Has(ctx, [2]string{"a", "b"}); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, err := manager.NewDict[*int, int](ctx, m); err == nil || !strings.Contains(err.Error(), "*int") {
		t.Error(err)
	}
	if _, err := manager.NewDict[struct{ A any }, int](ctx, m); err == nil || !strings.Contains(err.Error(), ".A") {
		t.Error(err)
	}
	if _, err := manager.NewDict[int, chan int](ctx, m); err == nil || !strings.Contains(err.Error(), "chan") {
		t.Error(err)
	}
}

// M3 M12: an iteration works page by page, sees changes that are made meanwhile, and ends with an
// error if an error occurs.
func TestDictIteration(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[int, string](ctx, m))
	want := map[int]string{}
	for i := range 1000 {
		want[i] = strings.Repeat("x", 200)
	}

	if err := d.SetAll(ctx, want); err != nil {
		t.Fatal(err)
	}

	got := map[int]string{}
	for e, err := range d.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 { // long before the iteration reaches these keys
			last := must(d.Keys(ctx))[999]
			_, _ = d.Delete(ctx, last)
			delete(want, last)
			_ = d.Set(ctx, 1000, "new")
			want[1000] = "new"
		}
		if len(got) == len(want)-1 && len(want) < 1001 { // at the end
			_ = d.Set(ctx, 1001, "newer")
			want[1001] = "newer"
		}
		got[e.Key] = e.Value
	}

	if !maps.Equal(got, want) {
		t.Errorf("%d entries in the place of %d", len(got), len(want))
	}

	n := 0
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, err := range d.All(over) {
		if n++; n == 1 {
			cancel()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err != nil && n < 2 {
			t.Error("nothing before the end")
		}
	}

	for range d.All(ctx) {
		break
	}
}

var plus = manager.Function("plus", func(_ context.Context, n, by int) (int, error) {
	switch n + by {
	case 1000:
		return 0, manager.Remove
	case 2000:
		return 0, errTooMuch
	case 3000:
		panic("three thousand")
	}
	return n + by, nil
})

var errTooMuch = mp.RegisterError(errors.New("too much"))

type counting struct {
	Counts *manager.Dict[string, int]
	N      int
}

var countUp = mp.RegisterAction("countUp", func(ctx context.Context, c counting) error {
	for range c.N {
		if _, err := manager.Update(ctx, c.Counts, "n", plus, 1); err != nil {
			return err
		}
	}
	return nil
})

// Functions change values in the manager for many processes, and no change is lost. If a function
// returns an error, its caller gets the error.
func TestUpdate(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, int](ctx, m))
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if _, err := mp.Map(ctx, pool, countUp, []counting{{d, 100}, {d, 100}, {d, 100}, {d, 100}}); err != nil {
		t.Fatal(err)
	}

	if n, err := manager.Update(ctx, d, "n", plus, 10); n != 410 || err != nil {
		t.Error(n, err)
	}

	if n, err := manager.Update(ctx, d, "n", plus, 1590); n != 0 || !errors.Is(err, errTooMuch) {
		t.Error(n, err)
	}

	var p *mp.PanicError
	if _, err := manager.Update(ctx, d, "n", plus, 2590); !errors.As(err, &p) || p.Value != "three thousand" {
		t.Error(err)
	}

	if n, _, err := d.Get(ctx, "n"); n != 410 || err != nil {
		t.Error(n, err)
	}

	if n, err := manager.Update(ctx, d, "n", plus, 590); n != 0 || err != nil {
		t.Error(n, err)
	}
	if ok, err := d.Has(ctx, "n"); ok || err != nil {
		t.Error("not removed", err)
	}
	if _, err := manager.Update(ctx, d, "n", plus, 1000); err != nil { // the key does not exist
		t.Error(err)
	}
	many := map[string]int{}
	for i := range 1000 {
		many[fmt.Sprint(i)] = i
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := manager.UpdateAll(ctx, d, plus, many); err != nil && !strings.Contains(err.Error(), "too much") {
				t.Error(err)
			}
		})
	}

	all.Wait()
	counts := must(d.Copy(ctx))
	for key, n := range many {
		if want := 3 * n; want < 999 && counts[key] != want {
			t.Errorf("%s: %d", key, counts[key])
		}
	}
	l := must(manager.NewList(ctx, m, []int{1, 2, 3}))
	if n, err := manager.UpdateAt(ctx, l, -1, plus, 5); n != 8 || err != nil {
		t.Error(n, err)
	}
	if _, err := manager.UpdateAt(ctx, l, 3, plus, 5); !errors.Is(err, manager.ErrRange) {
		t.Error(err)
	}
	if _, err := manager.UpdateAt(ctx, l, 0, plus, 999); err == nil {
		t.Error("removed from a list")
	}
	v := must(manager.NewValue(ctx, m, 1))
	if n, err := manager.UpdateValue(ctx, v, plus, 5); n != 6 || err != nil {
		t.Error(n, err)
	}
}

// stubborn does not return until the length of the value in the dict has changed.
var stubborn = manager.Function("stubborn", func(ctx context.Context, old string, w waiting) (string, error) {
	if err := w.Began.Set(ctx); err != nil {
		return "", err
	}
	if old != "" {
		return old + "+", nil
	}
	return "nothing", w.GoOn.Wait(ctx)
})

type waiting struct{ Began, GoOn *manager.Event }

// If a value is set while a function computes a new value from the old one, the value that was set
// is not lost: the function runs again. A function that hangs delays other changes of its key until
// its caller gives up.
func TestUpdateMeetsSet(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, string](ctx, m))
	w := waiting{must(manager.NewEvent(ctx, m)), must(manager.NewEvent(ctx, m))}
	got := make(chan string)
	update := func(ctx context.Context) {
		v, err := manager.Update(ctx, d, "k", stubborn, w)
		if err != nil {
			v = "error"
		}
		got <- v
	}

	go update(ctx)
	_ = w.Began.Wait(ctx)
	if err := d.Set(ctx, "k", "set"); err != nil {
		t.Fatal(err)
	}

	_ = w.GoOn.Set(ctx)
	if v := <-got; v != "set+" {
		t.Error(v)
	}

	_, _ = d.Delete(ctx, "k")
	_, _ = w.Began.Clear(ctx), w.GoOn.Clear(ctx)
	short, cancel := context.WithCancel(ctx)
	go update(short)
	_ = w.Began.Wait(ctx)
	go update(ctx) // waits for its turn
	cancel()
	if v := <-got; v != "error" {
		t.Error(v)
	}
	_ = w.GoOn.Set(ctx)
	if v := <-got; v != "nothing" {
		t.Error(v)
	}
}

// The operations of a batch are performed together. Each operation that fails returns its own
// error.
func TestBatch(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, int](ctx, m))
	l := must(manager.NewList(ctx, m, []string{"x"}))
	s := must(manager.NewSet(ctx, m, []int{1, 2}))
	v := must(manager.NewValue(ctx, m, 1.5))
	q := must(manager.NewQueue[int](ctx, m, 1))
	var n, fresh, were int
	var f float64
	var first, last string
	var ok bool
	err := m.Do(ctx, d.SetOp("a", 1), d.GetOp("a", &n, &ok), l.AppendOp("y", "z"), l.GetOp(1, &first), l.PopOp(-1, &last, nil),
		s.AddOp(&fresh, 2, 3), s.RemoveOp(&were, 1, 7), v.StoreOp(2.5), v.LoadOp(&f), q.PutOp(1), l.SetOp(0, "w"))
	if err != nil || n != 1 || !ok || first != "y" || last != "z" || fresh != 1 || were != 1 || f != 2.5 {
		t.Error(err, n, ok, first, last, fresh, were, f)
	}

	err = m.Do(ctx, q.PutOp(2), d.SetOp("b", 2), l.GetOp(9, &first), d.DeleteOp("a"))
	if !errors.Is(err, ipc.ErrFull) || !errors.Is(err, manager.ErrRange) {
		t.Error(err)
	}

	if got := must(d.Copy(ctx)); !maps.Equal(got, map[string]int{"b": 2}) {
		t.Error(got)
	}

	other := start(t, manager.Config{})
	if err := other.Do(ctx, d.SetOp("c", 3)); err == nil {
		t.Error("an object of another manager")
	}
	if err := m.Do(ctx); err != nil {
		t.Error(err)
	}
}

// An operation that cannot be encoded leaves nothing that other operations would share.
func TestUnencodableOp(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	v := must(manager.NewValue[*manager.Event](ctx, m, must(manager.NewEvent(ctx, m))))
	closed := must(manager.NewEvent(ctx, m))
	_ = closed.Close()
	d := must(manager.NewDict[int, int](ctx, m))
	for i := range 8 {
		if err := d.Set(ctx, i, i); err != nil {
			t.Fatal(err)
		}
	}

	for range 50 {
		if err := m.Do(ctx, v.StoreOp(closed)); !errors.Is(err, mp.ErrClosed) {
			t.Fatal(err)
		}

		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for range 20 {
					if n, ok, err := d.Get(ctx, i); n != i || !ok || err != nil {
						t.Error(n, ok, err, "in the place of", i)
					}
				}
			})
		}

		all.Wait()
	}
}

// An Op that is passed twice is performed twice. An Op that was not made by a constructor is an
// error.
func TestOpTwice(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	l := must(manager.NewList[int](ctx, m, nil))
	op := l.AppendOp(1)
	for range 2 {
		if err := m.Do(ctx, op, op); err != nil {
			t.Error(err)
		}
	}
	if n := must(l.Len(ctx)); n != 4 {
		t.Error(n)
	}
	if err := m.Do(ctx, manager.Op{}); err == nil {
		t.Error("an operation of nothing")
	}
}

// Keys that are structs are equal if their fields are equal, whatever their padding contains.
func TestDictStructKeys(t *testing.T) {
	type key struct {
		A int8
		B int64
		T time.Time
	}

	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[key, map[[2]int]string](ctx, m, nil, manager.Named("d"), nil))
	at := time.Date(2024, 7, 1, 0, 0, 0, 0, must(time.LoadLocation("America/New_York")))
	if err := d.Set(ctx, key{1, 2, at}, map[[2]int]string{{1, 2}: "a"}); err != nil {
		t.Fatal(err)
	}

	if v, ok, err := d.Get(ctx, key{1, 2, at}); err != nil || !ok || v[[2]int{1, 2}] != "a" {
		t.Error(v, ok, err)
	}
	all, err := d.Copy(ctx)
	for k := range all {
		if k.T.Location().String() != "America/New_York" || !k.T.Equal(at) {
			t.Error(k)
		}
	}
	if err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}
