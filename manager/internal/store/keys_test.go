package store_test

import (
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// many writes n different elements, or n keys with empty values.
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

// after writes arguments and then calls write.
func after(write func(w *store.Writer), args ...any) func(w *store.Writer) {
	return func(w *store.Writer) {
		put(args...)(w)
		write(w)
	}
}

// The bounds on a request, as documented.
const (
	maxElements = 1 << 20
	maxKeys     = maxElements / 4
)

// A request that names too many elements or keys is refused before anything is done, since all
// other clients wait meanwhile. A request that names as many as are allowed is performed.
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

	const elements, keys = maxElements, maxKeys
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

// The requests of a batch together may name only as many elements as a single request may. Requests
// beyond that number are not performed.
func TestBatchOfManyElements(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, nil)
	var w store.Writer
	w.Begin(1, store.OpListAppend, list)
	many(maxElements/3, false)(&w)
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

	if in, err := c.ask(store.OpListLen, list, nil); err != nil || in.Int() != maxElements/3*3 {
		t.Error(err)
	}
	check(t, s)
}

// The store checks that there is room for all elements before it stores the first element.
func TestRoomForElements(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{Bytes: 32 << 20}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, nil)
	var w store.Writer
	w.Begin(1, store.OpListAppend, list)
	many(maxElements, false)(&w)
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

// An operation that compares a value with all elements is bounded outside a batch too. Only bytes
// that exist count.
func TestComparesAlone(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, many(1<<18, false))
	if in, err := c.ask(store.OpListCount, list, put(strings.Repeat("x", 1<<20))); err != nil || in.Int() != 0 {
		t.Error(err)
	}
}

// DoSoon leaves a long request to Do, which performs it as usual.
func TestDoSoon(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list, set := c.make(t, store.KindList, nil), c.make(t, store.KindSet, nil)
	try := func(what string, op store.Op, object uint64, args func(w *store.Writer), want store.Verdict) {
		t.Helper()
		var w, out store.Writer
		w.Begin(1, op, object)
		args(&w)
		w.End()
		before := s.Stats()
		if got := s.DoSoon(c.c, 1, store.Body(w.B), &out); got != want {
			t.Errorf("%s: %d", what, got)
		}

		if want == store.Heavy {
			if len(out.B) > 0 || s.Stats() != before {
				t.Errorf("%s: %+v, and before %+v", what, s.Stats(), before)
			}
			s.Do(c.c, 1, store.Body(w.B), &out)
		}

		if _, err := store.Answer(store.Body(out.B)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	try("few", store.OpListAppend, list, many(10_000, false), store.Done)
	try("many", store.OpListAppend, list, many(100_000, false), store.Heavy)
	try("few keys", store.OpSetAdd, set, many(2000, false), store.Done)
	try("many keys", store.OpSetAdd, set, many(20_000, false), store.Heavy)
	try("count", store.OpListCount, list, put("x"), store.Done)
	try("new", store.OpNew, 0, after(many(100_000, false), uint64(store.KindList), uint64(1), ""), store.Heavy)
	for range 5 {
		try("more", store.OpListAppend, list, many(100_000, false), store.Heavy)
	}

	try("count many", store.OpListCount, list, put("x"), store.Heavy)
	var one store.Writer
	one.Begin(1, store.OpListAppend, list)
	many(50_000, false)(&one)
	one.End()
	try("batch", store.OpBatch, 0, func(w *store.Writer) { w.Uint(1); w.Bytes(store.Body(one.B)) }, store.Heavy)
	check(t, s)
}

// room is an Account with the given room.
type room struct{ left, charged int }

func (r *room) Room() int    { return r.left }
func (r *room) Charge(n int) { r.charged += n }

// A request is not performed if there is no room for its answer. It can be performed later.
func TestNoRoomForAnswer(t *testing.T) {
	const most = 1 << 20
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClientOf(s, false, most)
	account := &room{left: 1000}
	c.c.Bound(account)
	list := c.make(t, store.KindList, many(100, false))
	if err := c.try(store.OpListAppend, list, make([]byte, 2000)); err != nil {
		t.Error(err)
	}

	var pop, batch store.Writer
	pop.Begin(1, store.OpListPop, list)
	pop.Int(-1)
	pop.End()
	batch.Begin(2, store.OpBatch, 0)
	batch.Uint(1)
	batch.Bytes(store.Body(pop.B))
	batch.End()
	account.charged = 0
	for what, w := range map[string]store.Writer{"pop": pop, "batch": batch} {
		var out store.Writer
		if v := s.Do(c.c, 1, store.Body(w.B), &out); v != store.NoRoom || len(out.B) != 0 || account.charged != 0 {
			t.Errorf("%s: %d, %d bytes", what, v, len(out.B))
		}
	}

	if in, err := c.ask(store.OpListLen, list, nil); err != nil || in.Int() != 101 {
		t.Error("it was taken out: ", err)
	}

	var length, short, out0 store.Writer // these answers are certain to be short, so there is always room
	length.Begin(1, store.OpListLen, list)
	length.End()
	short.Begin(2, store.OpBatch, 0)
	short.Uint(1)
	short.Bytes(store.Body(length.B))
	short.End()
	if v := s.Do(c.c, 1, store.Body(short.B), &out0); v != store.Done {
		t.Errorf("a batch with a short answer: %d", v)
	}

	account.left, account.charged = most, 0
	var out store.Writer
	if v := s.Do(c.c, 1, store.Body(pop.B), &out); v != store.Done || account.charged < 2000 {
		t.Errorf("%d, %d bytes", v, account.charged)
	}
	check(t, s)
}

// A note has no answer, so a long value that it asks for does not count for the client's Account.
func TestNotesCountForNothing(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	list := c.make(t, store.KindList, many(1000, false))
	account := &room{left: 1 << 30}
	c.c.Bound(account)
	var w, out store.Writer
	w.Begin(0, store.OpListAll, list)
	w.End()
	if v := s.Do(c.c, 0, store.Body(w.B), &out); v != store.Done || len(out.B) != 0 || account.charged != 0 {
		t.Errorf("verdict %d: %d bytes count, and %d are sent", v, account.charged, len(out.B))
	}
}
