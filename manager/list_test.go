//go:build linux

package manager_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// M1: a List has the operations of a slice.
func TestList(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	l := must(manager.NewList(ctx, m, []string{"b", "c"}))
	check := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v in the place of %v", what, got, want)
		}
	}

	check("append", must(l.Append(ctx, "d", "c")), 4)
	check("insert", l.Insert(ctx, 0, "a", "a"), error(nil))
	check("insert at the end", l.Insert(ctx, 6, "z"), error(nil))
	check("copy", must(l.Copy(ctx)), []string{"a", "a", "b", "c", "d", "c", "z"})
	check("get", []string{must(l.Get(ctx, 0)), must(l.Get(ctx, -1))}, []string{"a", "z"})
	check("slice", must(l.Slice(ctx, 2, 4)), []string{"b", "c"})
	check("swap", must(l.Swap(ctx, 0, "A")), "a")
	check("set", l.Set(ctx, -1, "Z"), error(nil))
	check("swapped", must(l.CompareAndSwap(ctx, 0, "A", "B")), true)
	check("not swapped", must(l.CompareAndSwap(ctx, 0, "A", "C")), false)
	check("index", []int{must(l.Index(ctx, "c")), must(l.Index(ctx, "x"))}, []int{3, -1})
	check("count", must(l.Count(ctx, "c")), 2)
	check("removed", must(l.Remove(ctx, "c")), true)
	check("not removed", must(l.Remove(ctx, "x")), false)
	check("delete", l.Delete(ctx, 1, 3), error(nil))
	check("reverse", l.Reverse(ctx), error(nil))
	check("copy", must(l.Copy(ctx)), []string{"Z", "c", "d", "B"})
	check("sort", l.Rewrite(ctx, func(all []string) ([]string, error) { slices.Sort(all); return all, nil }), error(nil))
	v, ok, err := l.Pop(ctx, -1)
	check("pop", []any{v, ok, err}, []any{"d", true, nil})
	v, ok, err = l.Pop(ctx, 0)
	check("pop", []any{v, ok, err}, []any{"B", true, nil})
	check("copy", must(l.Copy(ctx)), []string{"Z", "c"})
	for _, err := range []error{
		errOf(l.Get(ctx, 2)), errOf(l.Get(ctx, -3)), l.Set(ctx, 5, ""), l.Insert(ctx, 3), l.Delete(ctx, 1, 3), l.Delete(ctx, 1, 0),
		errOf(l.Swap(ctx, 7, "")), errOf(l.Slice(ctx, -1, 1)), errOf(l.CompareAndSwap(ctx, 4, "", "")),
	} {
		if !errors.Is(err, manager.ErrRange) {
			t.Error(err)
		}
	}

	check("clear", l.Clear(ctx), error(nil))
	_, ok, err = l.Pop(ctx, 0)
	check("empty", []any{ok, err, must(l.Len(ctx))}, []any{false, nil, 0})
}

func errOf[T any](_ T, err error) error { return err }

// M3: an iteration sees elements that are appended meanwhile.
func TestListIteration(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	l := must(manager.NewList(ctx, m, make([]int, 20_000)))
	n := 0
	for v, err := range l.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 || n == 20_000 {
			_, _ = l.Append(ctx, 7)
		}
		if n >= 20_000 && v != 7 {
			t.Error(n, v)
		}
		n++
	}

	if n != 20_002 {
		t.Error(n)
	}
}

// M6: a Set has each element once, even if several processes add it.
func TestSet(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	m := start(t, manager.Config{})
	s := must(manager.NewSet(ctx, m, []string{"c", "a", "c"}))
	if n, err := s.Add(ctx, "b", "a"); n != 1 || err != nil {
		t.Error(n, err)
	}

	if all, err := s.Copy(ctx); err != nil || !slices.Equal(all, []string{"c", "a", "b"}) {
		t.Error(all, err)
	}

	other := must(manager.NewSet(ctx, m, []string{"x", "a"}))
	if n, err := s.Union(ctx, other); n != 1 || err != nil {
		t.Error(n, err)
	}

	if n, err := s.Subtract(ctx, other); n != 2 || err != nil {
		t.Error(n, err)
	}

	if n, err := other.Intersect(ctx, s); n != 2 || err != nil {
		t.Error(n, err)
	}

	if n, err := s.Union(ctx, s); n != 0 || err != nil {
		t.Error(n, err)
	}
	if ok, err := s.Has(ctx, "b"); !ok || err != nil {
		t.Error(ok, err)
	}
	if n, err := s.Remove(ctx, "b", "q"); n != 1 || err != nil {
		t.Error(n, err)
	}
	if v, ok, err := s.Pop(ctx); v != "c" || !ok || err != nil {
		t.Error(v, ok, err)
	}
	if _, ok, err := s.Pop(ctx); ok || err != nil {
		t.Error(ok, err)
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = string(rune('a'+i%26)) + string(make([]byte, i/26))
	}
	if n, err := s.Add(ctx, many...); n != 5000 || err != nil {
		t.Error(n, err)
	}
	if all, err := s.Copy(ctx); len(all) != 5000 || !slices.Equal(all, many) || err != nil {
		t.Error(len(all), err)
	}
	if n := must(s.Len(ctx)); n != 5000 {
		t.Error(n)
	}
	if err := s.Clear(ctx); err != nil {
		t.Error(err)
	}
	if stats(t, m).Bytes > 1000 {
		t.Error(stats(t, m))
	}
}

// M9: values and attributes work as documented.
func TestValueAndNamespace(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	v := must(manager.NewValue(ctx, m, map[string]int{"a": 1}))
	if got := must(v.Load(ctx)); got["a"] != 1 {
		t.Error(got)
	}

	if err := v.Store(ctx, nil); err != nil {
		t.Error(err)
	}

	if got := must(v.Swap(ctx, map[string]int{"b": 2})); got != nil {
		t.Error(got)
	}

	if ok := must(v.CompareAndSwap(ctx, map[string]int{"b": 2}, map[string]int{"c": 3})); !ok {
		t.Error("not swapped")
	}
	if ok := must(v.CompareAndSwap(ctx, map[string]int{"b": 2}, nil)); ok {
		t.Error("swapped")
	}
	n := must(manager.NewNamespace(ctx, m))
	for _, err := range []error{
		manager.SetAttribute(ctx, n, "x", 10), manager.SetAttribute(ctx, n, "name", "hello"), manager.SetAttribute(ctx, n, "list", []string{"a"}),
		manager.SetAttribute(ctx, n, "x", 11),
	} {
		if err != nil {
			t.Error(err)
		}
	}

	if x, ok, err := manager.Attribute[int](ctx, n, "x"); x != 11 || !ok || err != nil {
		t.Error(x, ok, err)
	}
	if s, ok, err := manager.Attribute[[]string](ctx, n, "list"); !slices.Equal(s, []string{"a"}) || !ok || err != nil {
		t.Error(s, ok, err)
	}
	if _, _, err := manager.Attribute[string](ctx, n, "x"); !errors.Is(err, manager.ErrKind) {
		t.Error(err)
	}
	if _, ok, err := manager.Attribute[string](ctx, n, "y"); ok || err != nil {
		t.Error(ok, err)
	}
	if names, err := n.Names(ctx); err != nil || !slices.Equal(names, []string{"x", "name", "list"}) {
		t.Error(names, err)
	}
	if was := must(n.Delete(ctx, "x")); !was || must(n.Delete(ctx, "x")) {
		t.Error(was)
	}
}

// A value that cannot be kept is refused with an error that says what to do instead.
func TestUnkeepable(t *testing.T) {
	ctx := t.Context()
	m := start(t, manager.Config{})
	d := must(manager.NewDict[string, any](ctx, m))
	lock, err := ipc.NewMutex()
	if err != nil {
		t.Fatal(err)
	}

	defer lock.Close()
	var c *mp.CodecError
	if err := d.Set(ctx, "a", lock); !errors.As(err, &c) {
		t.Error(err)
	}
	if err := d.Set(ctx, "a", func() {}); !errors.As(err, &c) {
		t.Error(err)
	}

	for _, v := range []any{1, "x", nil, []any{1.5, "y"}, map[string]any{"z": int64(1)}} {
		if err := d.Set(ctx, "a", v); err != nil {
			t.Error(v, err)
		}
		if got, _, err := d.Get(ctx, "a"); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v in the place of %#v: %v", got, v, err)
		}
	}

	var none *manager.Dict[string, int]
	_ = none
	if err := (&manager.Dict[string, int]{}).Clear(ctx); err == nil {
		t.Error("a proxy that nobody has made")
	}
}
