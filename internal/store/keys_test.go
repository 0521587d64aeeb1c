package store_test

import (
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/internal/store"
)

// many writes n elements that differ, or keys with empty values.
func many(n int, values bool) func(w *store.Writer) {
	return func(w *store.Writer) {
		for i := range n {
			w.Bytes([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
			if values {
				w.Bytes(nil)
			}
		}
	}
}

// after writes arguments, and then what write does.
func after(write func(w *store.Writer), args ...any) func(w *store.Writer) {
	return func(w *store.Writer) {
		put(args...)(w)
		write(w)
	}
}

// What a request may name.
const (
	mostElements = 1 << 20
	mostKeys     = mostElements / 4
)

// A request that names too many elements or keys is refused before anything is done, since all other clients
// wait meanwhile. One with as many as are allowed is done.
func TestTooManyElements(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list, dict, set := c.make(t, store.KindList, nil), c.make(t, store.KindDict, nil), c.make(t, store.KindSet, nil)
	try := func(what string, op store.Op, object uint64, args func(w *store.Writer), refused bool) {
		t.Helper()
		before := s.Stats()
		if _, err := c.ask(op, object, args); limited(err) != refused || !refused && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if refused && s.Stats() != before {
			t.Errorf("%s: %+v, and before %+v", what, s.Stats(), before)
		}
		clear(c.answers)
	}
	made := func(k store.Kind, n int) func(w *store.Writer) {
		return after(many(n, false), uint64(k), uint64(1), "")
	}
	const elements, keys = mostElements, mostKeys
	try("append", store.OpListAppend, list, many(elements+1, false), true)
	try("insert", store.OpListInsert, list, after(many(elements+1, false), 0), true)
	try("replace", store.OpListReplace, list, after(many(elements+1, false), uint64(1)), true)
	try("new list", store.OpNew, 0, made(store.KindList, elements+1), true)
	try("append as many", store.OpListAppend, list, many(elements, false), false)
	try("set", store.OpDictSet, dict, many(keys+1, true), true)
	try("set as many", store.OpDictSet, dict, many(keys, true), false)
	try("get", store.OpDictGet, dict, many(elements+1, false), true)
	try("get as many", store.OpDictGet, dict, many(elements, false), false)
	try("delete", store.OpDictDelete, dict, many(elements+1, false), true)
	try("delete as many", store.OpDictDelete, dict, many(elements, false), false)
	try("add", store.OpSetAdd, set, many(keys+1, false), true)
	try("new set", store.OpNew, 0, made(store.KindSet, keys+1), true)
	try("add as many", store.OpSetAdd, set, many(keys, false), false)
	try("add one", store.OpSetAdd, set, put("one more"), false)
	other := c.make(t, store.KindSet, nil)
	try("union", store.OpSetUnion, other, put(set), true)
	try("remove", store.OpSetRemove, set, many(elements+1, false), true)
	try("remove as many", store.OpSetRemove, set, many(elements, false), false)
	try("clear", store.OpListClear, list, nil, false)
	check(t, s)
}

// Together the requests of a batch name no more than one alone may. Those that would are not done.
func TestBatchOfManyElements(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, nil)
	var w store.Writer
	w.Begin(1, store.OpListAppend, list)
	many(mostElements/3, false)(&w)
	w.End()
	in, err := c.ask(store.OpBatch, 0, func(b *store.Writer) {
		b.Uint(5)
		for range 5 {
			b.Bytes(store.Body(w.B))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := store.Answer(in.Bytes()); limited(err) != (i > 2) {
			t.Error(i, err)
		}
	}
	if in, err := c.ask(store.OpListLen, list, nil); err != nil || in.Int() != mostElements/3*3 {
		t.Error(err)
	}
	check(t, s)
}

// Whether there is room for the elements of a list is seen before the first one is put there.
func TestRoomForElements(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{Bytes: 32 << 20}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, nil)
	var w store.Writer
	w.Begin(1, store.OpListAppend, list)
	many(mostElements, false)(&w)
	w.End()
	allocs := testing.AllocsPerRun(1, func() {
		var out store.Writer
		s.Do(c.c, 1, store.Body(w.B), &out)
		c.took(out.B)
	})
	if _, err := store.Answer(c.answer(1)); !limited(err) {
		t.Error(err)
	}
	if allocs > 100 {
		t.Errorf("%v allocations", allocs)
	}
	check(t, s)
}

// What compares a value with all elements is bounded alone too. It counts only bytes that there are.
func TestComparesAlone(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, many(1<<18, false))
	if in, err := c.ask(store.OpListCount, list, put(strings.Repeat("x", 1<<20))); err != nil || in.Int() != 0 {
		t.Error(err)
	}
}
