package store_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// stuck extends functions. One of the functions that it adds does not return when its context ends.
type stuck struct {
	functions
	began   chan struct{}
	release chan struct{}
}

func (s stuck) Change(name string, shape uint64) (func(ctx context.Context, old, arg []byte) ([]byte, bool, error), error) {
	switch name {
	case "stuck":
		return func(_ context.Context, old, _ []byte) ([]byte, bool, error) {
			s.began <- struct{}{}
			<-s.release
			return old, false, nil
		}, nil
	case "block":
		return func(ctx context.Context, old, _ []byte) ([]byte, bool, error) {
			<-ctx.Done()
			return old, false, ctx.Err()
		}, nil
	}
	return s.functions.Change(name, shape)
}

func limited(err error) bool {
	return err != nil && strings.Contains(err.Error(), store.ErrLimit.Error())
}

// put writes arguments.
func put(args ...any) func(w *store.Writer) {
	return func(w *store.Writer) {
		for _, a := range args {
			switch a := a.(type) {
			case string:
				w.Bytes([]byte(a))
			case []byte:
				w.Bytes(a)
			case int:
				w.Int(a)
			case uint64:
				w.Uint(a)
			case bool:
				w.Bool(a)
			}
		}
	}
}

func (c *client) try(op store.Op, object uint64, args ...any) error {
	_, err := c.ask(op, object, put(args...))
	return err
}

// named makes a named event.
func (c *client) named(name string) error {
	return c.try(store.OpNew, 0, uint64(store.KindEvent), uint64(1), name)
}

// Names count toward the limit, and stop counting when they are given up.
func TestNamesCount(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{Bytes: 1 << 20}, functions{}, 0)
	c := newClient(s)
	long := strings.Repeat("x", 100_000)
	n := 0
	for ; n < 100; n++ {
		if err := c.named(string(rune('a'+n)) + long); err != nil {
			if !limited(err) {
				t.Error(err)
			}
			break
		}
	}

	if st := s.Stats(); n != 10 || st.Bytes < n*len(long) || st.Objects != n {
		t.Errorf("%d names, %+v", n, st)
	}

	check(t, s)
	if err := c.named("a" + long); err != nil { // the event exists
		t.Error(err)
	}

	if err := c.try(store.OpForget, 0, "a"+long); err != nil {
		t.Error(err)
	}
	if err := c.named("z" + long); err != nil {
		t.Error(err)
	}
	check(t, s)
	_, err := c.ask(store.OpNew, 0, put(uint64(store.KindDict), uint64(1), "z"+long))
	if err == nil || len(err.Error()) > 1000 {
		t.Error("an error that is as long as the name")
	}
}

// The waiting calls of a client, with their arguments, stay within the limit, except that a single
// call may be larger. Other clients are not affected.
func TestWaitingBytes(t *testing.T) {
	const limit, size = 1 << 20, 100_000
	s := store.New(store.NewID(), store.Limits{Waiting: limit}, stuck{}, 0)
	bad, good := newClient(s), newClient(s)
	dict, queue := bad.make(t, store.KindDict, nil), bad.make(t, store.KindQueue, put(1))
	if err := bad.try(store.OpQueuePut, queue, "full"); err != nil {
		t.Error(err)
	}

	for what, wait := range map[string]func(c *client, size int) uint32{
		"change": func(c *client, size int) uint32 {
			return c.begin(store.OpDictChange, dict, put("block", uint64(1), "key", make([]byte, size)))
		},
		"key": func(c *client, size int) uint32 {
			return c.begin(store.OpDictChange, dict, put("block", uint64(1), make([]byte, size), ""))
		},
		"change all": func(c *client, size int) uint32 {
			return c.begin(store.OpDictChangeAll, dict, put("block", uint64(1), "key", make([]byte, size)))
		},
		"put": func(c *client, size int) uint32 {
			return c.begin(store.OpQueuePut, queue, put(make([]byte, size)))
		},
	} {
		var calls []uint32
		refused := 0
		for range 100 {
			if call := wait(bad, size); bad.answer(call) == nil {
				calls = append(calls, call)
			} else if _, err := store.Answer(bad.answer(call)); limited(err) {
				refused++
			}
		}

		if len(calls) > limit/size || len(calls) < limit/size-1 || refused != 100-len(calls) {
			t.Errorf("%s: %d wait, %d were refused", what, len(calls), refused)
		}

		if n := s.Stats().WaitingBytes; n < len(calls)*size || n > limit {
			t.Errorf("%s: %d bytes wait", what, n)
		}

		if call := wait(good, size); good.answer(call) != nil {
			t.Error(what, ": another client is refused")
		} else {
			calls = append(calls, call)
		}
		check(t, s)
		cancelAll(t, bad, calls[:len(calls)-1])
		cancelAll(t, good, calls[len(calls)-1:])

		if call := wait(bad, 2*limit); bad.answer(call) != nil { // when there is no other call
			t.Error(what, ": one that is large is refused")
		} else {
			cancelAll(t, bad, []uint32{call})
		}
		if n := s.Stats().WaitingBytes; n != 0 {
			t.Error(what, n, "bytes are left")
		}
	}
}

// cancelAll cancels calls and waits for their answers.
func cancelAll(t *testing.T, c *client, calls []uint32) {
	t.Helper()
	for _, call := range calls {
		for range 3 {
			c.begin(store.OpCancel, 0, put(uint64(call)))
		}
	}
	for _, call := range calls {
		for c.answer(call) == nil {
			<-c.wake
		}
	}
	for c.s.Stats().WaitingBytes > 0 && c.s.Stats().Waiting == 0 { // there are functions that have not returned yet
		runtime.Gosched()
	}
}

// A function counts until it has returned, even if its caller no longer waits, or if the caller has
// left and come back.
func TestFunctionsCount(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	s := store.New(store.NewID(), store.Limits{Waiting: 20_000}, stuck{began: began, release: release}, time.Minute)
	near := newClient(s)
	dict := near.make(t, store.KindDict, nil)
	begin := func(c *client, n int) bool {
		call := c.begin(store.OpDictChange, dict, put("stuck", uint64(1), string(rune('a'+n)), ""))
		if c.answer(call) != nil {
			return false
		}
		<-began
		return true
	}

	bad, n := newClientOf(s, true, 0), 0
	for ; begin(bad, n); n++ {
		if n > 10 {
			t.Fatal("there is no end to it")
		}
	}

	var calls []uint32
	for call := range bad.last {
		calls = append(calls, call+1)
	}

	for _, call := range calls {
		bad.begin(store.OpCancel, 0, put(uint64(call)))
	}

	for _, call := range calls {
		for bad.answer(call) == nil { // even though the function still runs
			<-bad.wake
		}
	}

	if begin(bad, n+1) {
		t.Error("what nobody waits for does not count")
	}
	s.Leave(bad.c)
	again := newClientOf(s, true, 0)
	if begin(again, n+2) {
		t.Error("what a client has left behind does not count when it comes again")
	}
	if st := s.Stats(); st.WaitingBytes < n*4000 {
		t.Errorf("%+v", st)
	}
	if !begin(near, n+3) {
		t.Error("a local client is refused for what a remote one has left")
	}
	close(release)
	for s.Stats().WaitingBytes > 0 {
		runtime.Gosched()
	}
	if err := again.try(store.OpDictChange, dict, "append", uint64(1), "x", "y"); err != nil {
		t.Error(err)
	}
	check(t, s)
}

// heap returns how much memory is in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Values that were removed from objects take no memory, and the objects do not keep room for them
// either.
func TestTakenOut(t *testing.T) {
	const bound = 2 << 20
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	dict, list := c.make(t, store.KindDict, nil), c.make(t, store.KindList, nil)
	set, value := c.make(t, store.KindSet, nil), c.make(t, store.KindValue, put(""))
	before := heap()
	step := func(what string) {
		t.Helper()
		clear(c.answers)
		if n := heap() - before; n > bound {
			t.Errorf("%s: %d bytes are kept", what, n)
		}
		check(t, s)
	}

	large := make([]byte, 1<<20)
	for i := range 20 {
		_ = c.try(store.OpDictSet, dict, string(rune('a'+i)), large)
		_ = c.try(store.OpDictDelete, dict, string(rune('a'+i)))
		_ = c.try(store.OpSetAdd, set, append(large, byte(i)))
		_ = c.try(store.OpSetRemove, set, append(large, byte(i)))
	}

	step("deleted")
	for i := range 20 {
		_ = c.try(store.OpListAppend, list, large, large)
		_ = c.try(store.OpListPop, list, 0)
		_ = c.try(store.OpListPop, list, -1)
		_ = c.try(store.OpListSet, list, 0, string(rune('a'+i)))
	}

	_ = c.try(store.OpValueStore, value, append(large, large...))
	_ = c.try(store.OpValueStore, value, "short")
	step("popped")
	for i := range 50_000 {
		key := []byte{byte(i), byte(i >> 8), byte(i >> 16)}
		_ = c.try(store.OpDictSet, dict, key, "")
		_ = c.try(store.OpSetAdd, set, key)
		clear(c.answers)
	}

	for i := range 50_000 {
		key := []byte{byte(i), byte(i >> 8), byte(i >> 16)}
		_ = c.try(store.OpDictDelete, dict, key)
		_ = c.try(store.OpSetPop, set)
		clear(c.answers)
	}
	step("many keys")
	runtime.KeepAlive(s)
}

// A client that comes and goes leaves no more behind than it had at any one time.
func TestComeAndGo(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, time.Hour)
	keeps := newClient(s)
	const objects = 50
	var ids []uint64
	for range objects {
		ids = append(ids, keeps.make(t, store.KindEvent, nil))
	}

	before := s.Stats().Bytes
	for range 200 {
		c := newClientOf(s, true, 0)
		for _, id := range ids {
			c.begin(store.OpHold, 0, put(id))
			c.begin(store.OpPin, 0, put(id, true))
		}
		s.Leave(c.c)
	}

	if n := s.Lingering(); n != objects || s.Stats().Bytes != before {
		t.Errorf("%d live on; %d bytes, and before %d", n, s.Stats().Bytes, before)
	}
	check(t, s)
	s.Close(errRefused)
}

// An object that would contain itself is refused without looking at all other objects. The time
// spent on putting objects that contain very many others into objects is limited.
func TestNestingCost(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{Nesting: 3}, functions{}, 0)
	s.StopClock()
	c := newClient(s)
	ref := func(id uint64) []byte { return store.AppendRef(nil, s.ID(), id) }
	lists := make([]uint64, 5)
	for i := range lists {
		lists[i] = c.make(t, store.KindList, nil)
	}

	_ = c.try(store.OpListAppend, lists[0], ref(lists[1]))
	_ = c.try(store.OpListClear, lists[0]) // levels may be too high now
	if err := c.try(store.OpListAppend, lists[0], ref(lists[0])); !limited(err) || !s.Stale() {
		t.Errorf("into itself: %v; looked at all: %v", err, !s.Stale())
	}

	for i := range 3 {
		_ = c.try(store.OpListAppend, lists[i], ref(lists[i+1]))
	}
	if err := c.try(store.OpListAppend, lists[3], ref(lists[4])); !limited(err) {
		t.Error(err)
	}
	if err := c.try(store.OpListAppend, lists[3], ref(lists[0])); !limited(err) {
		t.Error("a circle:", err)
	}

	for range 20_000 {
		c.make(t, store.KindEvent, nil)
	}
	other := newClient(s)
	busy := 0
	for range 100 { // each requires looking at all objects again
		_ = other.try(store.OpListAppend, lists[4], ref(lists[3]))
		_ = other.try(store.OpListPop, lists[4], -1)
		if err := other.try(store.OpListAppend, lists[3], ref(lists[4])); err == nil || !limited(err) {
			t.Fatal(err)
		} else if strings.Contains(err.Error(), "again") {
			busy++
		}
	}

	if busy < 90 {
		t.Error(busy, "of 100 were put off")
	}
	check(t, s)
}

// The answers of a batch fit in a message. Requests whose answers would not fit are not performed,
// and their answers are empty. The work of a batch is bounded too.
func TestBatchBounds(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	const most, n = 1 << 20, 100
	c := newClientOf(s, true, most)
	list := c.make(t, store.KindList, nil)
	for range n {
		if err := c.try(store.OpListAppend, list, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
	}

	pop := func(op store.Op, args ...any) []byte {
		var w store.Writer
		w.Begin(1, op, list)
		put(args...)(&w)
		w.End()
		return store.Body(w.B)
	}

	batch := func(n int, one []byte) (done, refused, empty int) {
		in, err := c.ask(store.OpBatch, 0, func(w *store.Writer) {
			w.Uint(uint64(n))
			for range n {
				w.Bytes(one)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			answer := in.Bytes()
			if len(answer) == 0 {
				empty++
			} else if _, err := store.Answer(answer); err == nil {
				done++
			} else if limited(err) {
				refused++
			}
		}
		if err := in.Err(); err != nil {
			t.Error(err)
		}
		return done, refused, empty
	}

	done, refused, empty := batch(n, pop(store.OpListPop, 0))
	in, err := c.ask(store.OpListLen, list, nil)
	if left := in.Int(); err != nil || done != 10 || done+refused+empty != n || left != n-done {
		t.Errorf("%d done, %d refused, %d empty; %d are left; %v", done, refused, empty, left, err)
	}
	check(t, s)

	for range 1000 {
		_, _ = c.ask(store.OpListAppend, list, func(w *store.Writer) {
			for range 100 {
				w.Bytes([]byte("x"))
			}
		})
	}

	if done, refused, _ := batch(1000, pop(store.OpListCount, "y")); done < 10 || refused < 900 {
		t.Errorf("%d done, %d refused", done, refused)
	}

	if done, _, _ := batch(1000, pop(store.OpListGet, -1)); done != 1000 {
		t.Error(done, "of 1000")
	}
}

// A value that is too long for a message is not removed.
func TestAnswerTooLong(t *testing.T) {
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	near, far := newClient(s), newClientOf(s, true, 1000)
	long := make([]byte, 1000)
	dict, list, set := near.make(t, store.KindDict, nil), near.make(t, store.KindList, nil), near.make(t, store.KindSet, nil)
	value, queue := near.make(t, store.KindValue, put(long)), near.make(t, store.KindQueue, put(0))
	if err := errors.Join(near.try(store.OpDictSet, dict, "k", long), near.try(store.OpListAppend, list, long),
		near.try(store.OpSetAdd, set, long), near.try(store.OpQueuePut, queue, long)); err != nil {
		t.Fatal(err)
	}

	before := s.Stats().Bytes
	for what, err := range map[string]error{
		"get": far.try(store.OpDictGet, dict, "k"), "pop": far.try(store.OpDictPop, dict, "k"), "pop first": far.try(store.OpDictPopFirst, dict),
		"swap": far.try(store.OpDictSwap, dict, "k", ""), "change": far.try(store.OpDictChange, dict, "append", uint64(1), "k", "x"),
		"list pop": far.try(store.OpListPop, list, 0), "list swap": far.try(store.OpListSwap, list, 0, ""), "slice": far.try(store.OpListSlice, list, 0, 1),
		"set pop": far.try(store.OpSetPop, set), "set scan": far.try(store.OpSetScan, set, uint64(0), 1), "value swap": far.try(store.OpValueSwap, value, ""),
		"queue get": far.try(store.OpQueueGet, queue), "queue try": far.try(store.OpQueueTryGet, queue),
	} {
		if !limited(err) {
			t.Error(what, err)
		}
	}

	if n := s.Stats().Bytes; n != before {
		t.Errorf("%d bytes of %d are left", n, before)
	}

	check(t, s)
	if err := near.try(store.OpQueueGet, queue); err != nil {
		t.Error(err)
	}

	waits, next := far.begin(store.OpQueueGet, queue, nil), near.begin(store.OpQueueGet, queue, nil)
	_ = near.try(store.OpQueuePut, queue, long)
	if _, err := store.Answer(far.answer(waits)); !limited(err) {
		t.Error(err)
	}
	if in, err := store.Answer(near.answer(next)); err != nil || len(in.Bytes()) != len(long) {
		t.Error(err)
	}
}
