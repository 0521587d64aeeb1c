package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// functions has three functions: one appends its argument, one removes the value, and one fails.
type functions struct{}

var errRefused = errors.New("refused")

func (functions) Change(name string, _ uint64) (func(ctx context.Context, old, arg []byte) ([]byte, bool, error), error) {
	switch name {
	case "append":
		return func(_ context.Context, old, arg []byte) ([]byte, bool, error) { return append(old, arg...), false, nil }, nil
	case "remove":
		return func(context.Context, []byte, []byte) ([]byte, bool, error) { return nil, true, nil }, nil
	}
	return nil, errRefused
}

func (functions) Make(name string, _ uint64) (func(ctx context.Context, arg []byte) (any, error), error) {
	if name == "own" {
		return func(context.Context, []byte) (any, error) { return new(int), nil }, nil
	}
	return nil, errRefused
}

func (functions) Method(_ any, name string, _ uint64) (func(ctx context.Context, arg []byte) ([]byte, error), error) {
	if name == "echo" {
		return func(_ context.Context, arg []byte) ([]byte, error) { return arg, nil }, nil
	}
	return nil, errRefused
}

func (functions) Taken([]byte) {}

// client is a client of a Store that records its answers.
type client struct {
	s    *store.Store
	c    *store.Client
	last uint32

	mu       sync.Mutex
	answers  map[uint32][]byte
	answered []bool // by call ID
	twice    bool
	wake     chan struct{}
}

func newClient(s *store.Store) *client { return newClientOf(s, false, 0) }

func newClientOf(s *store.Store, far bool, most int) *client {
	c := &client{s: s, answers: map[uint32][]byte{}, wake: make(chan struct{}, 1)}
	c.c = s.NewClient(far, most, func(_ uint32, b []byte) { c.took(b) })
	return c
}

func (c *client) took(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = store.Frames(b, func(call uint32, body []byte) error {
		c.note(call)
		c.answers[call] = slices.Clone(body)
		select {
		case c.wake <- struct{}{}:
		default:
		}
		return nil
	})
}

// got records answers whose contents do not matter.
func (c *client) got(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) > 0 {
		call, _, rest, err := store.NextFrame(b)
		if err != nil {
			c.twice = true
			return
		}
		c.note(call)
		b = rest
	}
}

// note notes that a call has been answered. The caller must hold c.mu.
func (c *client) note(call uint32) {
	if n := int(call) + 1 - len(c.answered); n > 0 {
		c.answered = append(c.answered, make([]bool, n)...)
	}
	c.twice = c.twice || c.answered[call]
	c.answered[call] = true
}

// begin sends a request and returns its call ID.
func (c *client) begin(op store.Op, object uint64, args func(w *store.Writer)) uint32 {
	c.last++
	var w, out store.Writer
	w.Begin(c.last, op, object)
	if args != nil {
		args(&w)
	}
	w.End()
	c.s.Do(c.c, c.last, store.Body(w.B), &out)
	c.took(out.B)
	return c.last
}

// answer returns the answer to a call, or nil if there is no answer yet.
func (c *client) answer(call uint32) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers[call]
}

// ask sends a request and returns its answer, which may come later.
func (c *client) ask(op store.Op, object uint64, args func(w *store.Writer)) (*store.Reader, error) {
	call := c.begin(op, object, args)
	for c.answer(call) == nil {
		<-c.wake
	}
	return store.Answer(c.answer(call))
}

func (c *client) make(t testing.TB, kind store.Kind, args func(w *store.Writer)) uint64 {
	t.Helper()
	r, err := c.ask(store.OpNew, 0, func(w *store.Writer) {
		w.Uint(uint64(kind))
		w.Uint(1)
		w.Bytes(nil)
		if args != nil {
			args(w)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Uint()
}

func check(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// Dicts, lists, sets and queues behave like maps, slices and so on in Go, whatever operations are
// performed and in whatever order. The counts of references and bytes are right.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := store.New(store.NewID(), store.Limits{}, functions{}, 0)
	c := newClient(s)
	dict, list, set, queue := c.make(t, store.KindDict, nil), c.make(t, store.KindList, nil), c.make(t, store.KindSet, nil), c.make(t, store.KindQueue, func(w *store.Writer) { w.Int(10) })
	goDict, goOrder := map[string]string{}, []string(nil)
	var goList, goQueue []string
	goSet := map[string]bool{}
	text := func() string { return fmt.Sprint(r.IntN(30)) + string(make([]byte, r.IntN(100))) }
	key := func() string { return fmt.Sprint(r.IntN(30)) }
	ask := func(op store.Op, object uint64, args ...any) *store.Reader {
		in, err := c.ask(op, object, func(w *store.Writer) {
			for _, a := range args {
				switch a := a.(type) {
				case string:
					w.Bytes([]byte(a))
				case int:
					w.Int(a)
				case bool:
					w.Bool(a)
				case uint64:
					w.Uint(a)
				}
			}
		})
		if err != nil {
			t.Fatal(op, args, err)
		}
		return in
	}

	expect := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: %v in the place of %v", what, got, want)
		}
	}

	forget := func(k string) {
		delete(goDict, k)
		goOrder = slices.DeleteFunc(goOrder, func(o string) bool { return o == k })
	}

	set1 := func(k, v string) {
		if _, ok := goDict[k]; !ok {
			goOrder = append(goOrder, k)
		}
		goDict[k] = v
	}

	shown := func(in *store.Reader) (string, bool) {
		if !in.Bool() {
			return "", false
		}
		return string(in.Bytes()), true
	}

	for i := range 20_000 {
		k, v := key(), text()
		old, ok := goDict[k]
		switch r.IntN(22) {
		case 0, 1, 2:
			ask(store.OpDictSet, dict, k, v)
			set1(k, v)
		case 3:
			in := ask(store.OpDictGet, dict, k, "none")
			got, there := shown(in)
			expect("get", []any{got, there}, []any{old, ok})
			_, there = shown(in)
			expect("get none", there, false)
		case 4:
			expect("delete", ask(store.OpDictDelete, dict, k).Int(), map[bool]int{true: 1}[ok])
			forget(k)
		case 5:
			got, there := shown(ask(store.OpDictPop, dict, k))
			expect("pop", []any{got, there}, []any{old, ok})
			forget(k)
		case 6:
			got, there := shown(ask(store.OpDictGetOrSet, dict, k, v))
			expect("get or set", []any{got, there}, []any{old, ok})
			if !ok {
				set1(k, v)
			}
		case 7:
			same := ask(store.OpDictCAS, dict, k, true, old, v).Bool()
			expect("swapped", same, ok)
			if ok {
				goDict[k] = v
			}
		case 8:
			in := ask(store.OpDictPopFirst, dict)
			got, there := shown(in)
			expect("first", there, len(goOrder) > 0)
			if there {
				expect("first", []any{string(in.Bytes()), got}, []any{goOrder[0], goDict[goOrder[0]]})
				forget(goOrder[0])
			}
		case 9:
			in := ask(store.OpDictChange, dict, "append", uint64(1), k, v)
			got, _ := shown(in)
			expect("changed", got, old+v)
			set1(k, old+v)
			if r.IntN(2) == 0 {
				ask(store.OpDictChange, dict, "remove", uint64(1), k, "").Bool()
				forget(k)
			}
		case 10, 11:
			expect("append", ask(store.OpListAppend, list, v, k).Int(), len(goList)+2)
			goList = append(goList, v, k)
		case 12:
			at := r.IntN(len(goList) + 1)
			ask(store.OpListInsert, list, at, v)
			goList = slices.Insert(goList, at, v)
		case 13:
			from := r.IntN(len(goList) + 1)
			to := from + r.IntN(min(len(goList)-from, 5)+1)
			ask(store.OpListDelete, list, from, to)
			goList = slices.Delete(goList, from, to)
		case 14:
			if len(goList) > 0 {
				at := r.IntN(len(goList))
				got, _ := shown(ask(store.OpListPop, list, at-len(goList)))
				expect("pop", got, goList[at])
				goList = slices.Delete(goList, at, at+1)
			}
		case 15:
			expect("index", ask(store.OpListIndex, list, k, 0).Int(), slices.Index(goList, k))
			ask(store.OpListReverse, list)
			slices.Reverse(goList)
		case 16:
			n := 0
			for _, v := range []string{k, v, v} {
				if !goSet[v] {
					goSet[v] = true
					n++
				}
			}
			expect("added", ask(store.OpSetAdd, set, k, v, v).Int(), n)
		case 17:
			expect("has", ask(store.OpSetHas, set, k).Bool(), goSet[k])
			expect("removed", ask(store.OpSetRemove, set, k).Int(), map[bool]int{true: 1}[goSet[k]])
			delete(goSet, k)
		case 18, 19:
			put := ask(store.OpQueueTryPut, queue, v).Bool()
			expect("put", put, len(goQueue) < 10)
			if put {
				goQueue = append(goQueue, v)
			}
		case 20:
			got, there := shown(ask(store.OpQueueTryGet, queue))
			expect("got", there, len(goQueue) > 0)
			if there {
				expect("got", got, goQueue[0])
				goQueue = goQueue[1:]
			}
		case 21:
			if r.IntN(50) == 0 {
				ask(store.OpDictClear, dict)
				ask(store.OpListClear, list)
				ask(store.OpSetClear, set)
				clear(goDict)
				clear(goSet)
				goOrder, goList = nil, nil
			}
		}

		if i%500 == 0 {
			check(t, s)
			in, all, order := ask(store.OpDictScan, dict, uint64(0), 1<<20), map[string]string{}, []string(nil)
			in.Uint()
			for range in.Count() {
				k := string(in.Bytes())
				all[k] = string(in.Bytes())
				order = append(order, k)
			}

			if !maps.Equal(all, goDict) || !slices.Equal(order, goOrder) {
				t.Fatalf("%v in the place of %v", order, goOrder)
			}

			var elements []string
			for in := ask(store.OpListSlice, list, 0, len(goList)); in.More(); {
				elements = append(elements, string(in.Bytes()))
			}

			if !slices.Equal(elements, goList) {
				t.Fatalf("%q in the place of %q", elements, goList)
			}
		}
	}

	s.Leave(c.c)
	if st := s.Stats(); st != (store.Stats{}) {
		t.Errorf("left: %+v", st)
	}
}

// Several clients put objects into other objects and remove them at random, and some clients leave.
// The counts stay right, no object contains itself, and in the end no object is left.
func TestReferences(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := store.New(store.NewID(), store.Limits{Nesting: 6}, functions{}, 0)
	clients := []*client{newClient(s), newClient(s), newClient(s)}
	known := map[*client][]uint64{}
	refused := 0
	for i := range 5000 {
		c := clients[r.IntN(len(clients))]
		if len(known[c]) < 3 || r.IntN(10) == 0 {
			kind := []store.Kind{store.KindDict, store.KindList, store.KindValue}[r.IntN(3)]
			known[c] = append(known[c], c.make(t, kind, func(w *store.Writer) {
				if kind == store.KindValue {
					w.Bytes(nil)
				}
			}))
			continue
		}
		pick := func() uint64 { return known[c][r.IntN(len(known[c]))] }
		in, what := pick(), store.AppendRef([]byte("x"), s.ID(), pick())
		if r.IntN(4) == 0 {
			what = store.AppendRef(what, s.ID(), pick())
		}

		err := errors.Join(
			third(c.ask(store.OpDictSet, in, func(w *store.Writer) { w.Bytes([]byte{byte(r.IntN(3))}); w.Bytes(what) })),
			third(c.ask(store.OpListAppend, in, func(w *store.Writer) { w.Bytes(what); w.Bytes(what) })),
			third(c.ask(store.OpValueStore, in, func(w *store.Writer) { w.Bytes(what) })))
		if err != nil && strings.Contains(err.Error(), store.ErrLimit.Error()) {
			refused++
		}

		switch r.IntN(12) {
		case 0:
			_, _ = c.ask(store.OpListClear, in, nil)
		case 1:
			_, _ = c.ask(store.OpDictClear, in, nil)
		case 2: // the client now has the objects that the answer refers to
			got, err := c.ask(store.OpListGet, in, func(w *store.Writer) { w.Int(-1) })
			if err == nil {
				known[c] = append(known[c], store.Refs(got.Bytes(), s.ID())...)
			}
		case 3:
			at := r.IntN(len(known[c]))
			id := known[c][at]
			c.begin(store.OpRelease, 0, func(w *store.Writer) { w.Uint(id); w.Int(1) })
			known[c] = slices.Delete(known[c], at, at+1)
		case 4:
			if r.IntN(30) == 0 {
				s.Leave(c.c)
				delete(known, c)
				clients[slices.Index(clients, c)] = newClient(s)
			}
		}

		if i%50 == 0 {
			check(t, s)
		}
	}

	if refused == 0 {
		t.Error("nothing was too deep")
	}

	for _, c := range clients {
		s.Leave(c.c)
	}

	if st := s.Stats(); st != (store.Stats{}) {
		t.Errorf("left: %+v", st)
	}
}

func third[A any](_ A, err error) error { return err }

// Whatever a client sends, it gets at most one answer for each call, other clients are not
// affected, and the counts stay right. The input is a sequence of requests, each preceded by its
// length.
func FuzzDo(f *testing.F) {
	var seeds []byte
	add := func(op store.Op, object uint64, args func(w *store.Writer)) {
		var w store.Writer
		w.Begin(1, op, object)
		if args != nil {
			args(&w)
		}
		w.End()
		body := store.Body(w.B)
		seeds = append(append(seeds, byte(len(body))), body...)
	}

	for kind := store.KindDict; kind <= store.KindOwn; kind++ {
		add(store.OpNew, 0, func(w *store.Writer) {
			w.Uint(uint64(kind))
			w.Uint(1)
			w.Bytes(nil)
			w.Bytes([]byte{3, 1, 1})
		})
	}

	f.Add(seeds)
	for op := range 255 {
		for id := range 4 {
			add(store.Op(op), uint64(id), func(w *store.Writer) { w.Bytes([]byte("a")); w.Bytes([]byte("b")); w.Bytes(nil) })
		}
		if len(seeds) > 600 {
			f.Add(seeds)
			seeds = seeds[:0]
		}
	}

	f.Fuzz(func(t *testing.T, b []byte) { doAll(t, b) })
}

// objectsOfAll contains requests that make three objects of each kind. The objects are the same in
// each execution.
var objectsOfAll = func() (requests [][]byte) {
	for i := uint64(0); i < 3; i++ {
		for kind := store.KindDict; kind < store.KindOwn; kind++ {
			var w store.Writer
			w.Begin(1, store.OpNew, 0)
			w.Uint(uint64(kind))
			w.Uint(1)
			w.Bytes(nil)
			if kind == store.KindCond {
				w.Uint(i)
			} else if kind >= store.KindValue {
				w.Int(2)
			}

			w.End()
			requests = append(requests, slices.Clone(store.Body(w.B)))
		}
	}

	return requests
}()

func doAll(t testing.TB, b []byte) {
	s := store.New(store.ID{1, 2, 3}, store.Limits{Objects: 50, Bytes: 1 << 20, Calls: 20, Waiting: 1 << 18, Nesting: 5}, functions{}, 0)
	s.Sequential()
	good, bad := newClient(s), newClient(s)
	mine := good.make(t, store.KindDict, nil)
	var out store.Writer
	do := func(request []byte) {
		bad.last++
		s.Do(bad.c, bad.last, request, &out)
		bad.got(out.B)
		out.B = out.B[:0]
	}

	for _, request := range objectsOfAll[:max(largest(b)-1, 0)] { // client mine has ID 1; no request names an object beyond the largest
		do(request)
	}

	for len(b) > 0 {
		n := min(int(b[0]), len(b)-1)
		do(b[1 : 1+n])
		b = b[1+n:]
	}

	if _, err := good.ask(store.OpDictHas, mine, func(w *store.Writer) { w.Bytes([]byte("x")) }); err != nil {
		t.Error(err)
	}
	check(t, s)
	s.Leave(bad.c)
	check(t, s)
	s.Leave(good.c)
	if bad.twice || good.twice {
		t.Error("a call was answered twice")
	}
	s.Close(errRefused)
	s.Wait()
}

// largest returns the largest byte of the requests that may be the ID of an existing object.
func largest(b []byte) (n int) {
	for _, c := range b {
		if c <= byte(len(objectsOfAll)+1) {
			n = max(n, int(c))
		}
	}
	return n
}

// Frames and NextFrame detect input that is not a message.
func FuzzFrames(f *testing.F) {
	var w store.Writer
	w.Begin(7, store.OpPing, 1)
	w.End()
	f.Add(w.B)
	f.Add(binary.LittleEndian.AppendUint32(nil, 1<<31))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_ = store.Frames(b, func(_ uint32, body []byte) error { n += 8 + len(body); return nil })
		if n > len(b) {
			t.Error(n, len(b))
		}
		r := store.NewReader(b)
		_, _, _ = r.Uint(), r.Bytes(), r.Bool()
		_, _ = r.Count(), r.Int()
		_ = r.Err()
	})
}
