//go:build linux

package ipc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

func newQueue[T any](t testing.TB, n int) *ipc.Queue[T] {
	t.Helper()
	q, err := ipc.NewQueue[T](ipc.Capacity(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Discard() })
	return q
}

// Q1 Q2 Q3 Q6 Q8 Q10: Len, Cap, TryPut and TryGet agree on whether a queue is full, empty or in
// between, whatever the size of the elements.
func TestQueueFullAndEmpty(t *testing.T) {
	mptest.NoLeaks(t)
	for _, size := range []int{0, 1, 100, 1000, 100_000} {
		const n = 7
		q := newQueue[[]byte](t, n)
		if q.Len() != 0 || q.Cap() != n {
			t.Error(q.Len(), q.Cap())
		}

		for round := range 3 {
			if _, err := q.TryGet(); !errors.Is(err, ipc.ErrEmpty) {
				t.Error(err)
			}
			for i := range n {
				if err := q.TryPut(bytes.Repeat([]byte{byte(i + round)}, size)); err != nil || q.Len() != i+1 {
					t.Fatal(size, err, q.Len())
				}
			}
			if err := q.TryPut(nil); !errors.Is(err, ipc.ErrFull) {
				t.Error(err)
			}
			for i := range n {
				b, err := q.TryGet()
				if err != nil || len(b) != size || size > 0 && b[size-1] != byte(i+round) || q.Len() != n-i-1 {
					t.Fatal(size, len(b), err, q.Len())
				}
			}
		}

		_ = q.Discard()
	}
}

// Q4 Q7: a wait ends at its deadline, and not before.
func TestQueueDeadlines(t *testing.T) {
	q := newQueue[int](t, 1)
	for _, wait := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := q.Get(ctx); return err },
		func(ctx context.Context) error {
			_ = q.TryPut(1)
			return q.Put(ctx, 2)
		},
		func(ctx context.Context) error { return q.Join(ctx) },
	} {
		began := time.Now()
		ctx, cancel := context.WithDeadline(t.Context(), began.Add(20*time.Millisecond))
		if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) < 20*time.Millisecond {
			t.Error(err, time.Since(began))
		}
		cancel()
		if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}

	if v, err := q.Get(t.Context()); v != 1 || err != nil {
		t.Error(v, err)
	}
}

// Q13: a Put of a value that cannot be encoded returns an error, and has no other effect.
func TestQueueUnencodable(t *testing.T) {
	q := newQueue[any](t, 2)
	var bad *mp.CodecError
	for _, v := range []any{func() {}, make(chan int), &ipc.Mutex{}} {
		if err := q.Put(t.Context(), v); !errors.As(err, &bad) || q.Len() != 0 {
			t.Error(err, q.Len())
		}
	}

	if err := q.Put(t.Context(), "good"); err != nil {
		t.Error(err)
	}
	if v, err := q.Get(t.Context()); v != "good" || err != nil {
		t.Error(v, err)
	}
	if _, err := ipc.NewQueue[func()](); err == nil || !strings.Contains(err.Error(), "func") {
		t.Error(err)
	}
	for _, n := range []int{-1, 1<<18 + 1} {
		if _, err := ipc.NewQueue[int](ipc.Capacity(n)); err == nil || !strings.Contains(err.Error(), "mp: NewQueue: Capacity is ") {
			t.Error(err)
		}
	}

	var none ipc.Queue[int]
	_, err := none.Get(t.Context())
	for _, err := range []error{err, none.Put(t.Context(), 1), none.TryPut(1), none.Join(t.Context()), none.TaskDone(), none.Close(), none.Discard()} {
		if err == nil {
			t.Error("a queue that nobody made works")
		}
	}
}

// Q14: a closed queue can be drained, and Close wakes waiting goroutines.
func TestQueueClose(t *testing.T) {
	mptest.NoLeaks(t)
	for range 100 {
		q := newQueue[int](t, 3)
		for i := range 3 {
			if err := q.Put(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}

		waits := make(chan error)
		go func() { waits <- q.Put(t.Context(), 3) }()
		if err := errors.Join(q.Close(), q.Close()); err != nil {
			t.Error(err)
		}
		if err := <-waits; !errors.Is(err, mp.ErrClosed) {
			t.Error(err)
		}

		got := []int{}
		for v, err := range q.All(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, v)
		}

		if !slices.Equal(got, []int{0, 1, 2}) {
			t.Error(got)
		}
		if _, err := q.TryGet(); !errors.Is(err, mp.ErrClosed) {
			t.Error(err)
		}
		// A closed queue still counts tasks.
		if err := errors.Join(q.TaskDone(), q.TaskDone(), q.TaskDone(), q.Join(t.Context())); err != nil {
			t.Error(err)
		}
		empty := newQueue[int](t, 3)
		go func() { _, err := empty.Get(t.Context()); waits <- err }()
		_ = empty.Discard()
		if err := <-waits; !errors.Is(err, mp.ErrClosed) {
			t.Error(err)
		}
		_ = q.Discard()
	}
}

// Q16: Join waits until TaskDone has been called for every element.
func TestQueueJoin(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	q, done := newQueue[int](t, 10), must(ipc.NewAtomic(0))
	defer done.Close()

	workers := mp.MapAsync(t.Context(), pool, workOff, []working{{q, done}, {q, done}})
	for range 3 {
		for i := range 100 {
			if err := q.Put(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		before := must(done.Load())
		if err := q.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := must(done.Load()); n%100 != 0 || n < before {
			t.Errorf("%d elements were done", n)
		}
	}

	if err := q.TaskDone(); !errors.Is(err, ipc.ErrOverRelease) {
		t.Error(err)
	}
	_ = q.Close()
	if _, err := workers.Result(t.Context()); err != nil {
		t.Error(err)
	}
}

type working struct {
	Queue *ipc.Queue[int]
	Done  *ipc.Atomic[int]
}

var workOff = mp.Register("workOff", func(ctx context.Context, w working) (int, error) {
	for _, err := range w.Queue.All(ctx) {
		if err != nil {
			return 0, err
		}
		if _, err := w.Done.Add(1); err != nil {
			return 0, err
		}
		if err := w.Queue.TaskDone(); err != nil {
			return 0, err
		}
	}
	return 0, nil
})

// passing is an element. It says which producer put it, and which of that producer's elements it
// is.
type passing struct {
	Producer, Number int
	Padding          []byte
}

type passingOn struct {
	Queue    *ipc.Queue[passing]
	Producer int // 0 for a consumer
	Number   int
}

var passOn = mp.Register("passOn", func(ctx context.Context, p passingOn) (got []passing, err error) {
	if p.Producer == 0 {
		for e, err := range p.Queue.All(ctx) {
			if err != nil {
				return got, err
			}
			e.Padding = nil
			got = append(got, e)
		}
		return got, nil
	}
	for i := range p.Number {
		size := []int{0, 10, 300, 3000}[i%4]
		if i%250 == 0 {
			size = 1 << 20
		}
		if err := p.Queue.Put(ctx, passing{p.Producer, i, make([]byte, size)}); err != nil {
			return nil, err
		}
	}

	return nil, nil
})

// Q18: every element of many producers goes to exactly one of many consumers, and the elements of
// each producer arrive in order.
func TestQueueManyToMany(t *testing.T) {
	mptest.NoLeaks(t)
	const producers, consumers, each = 3, 3, 1000
	pool, err := mp.NewPool(mp.PoolConfig{Workers: producers + consumers})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	q := newQueue[passing](t, 50)
	readers := mp.MapAsync(t.Context(), pool, passOn, make2(consumers, passingOn{Queue: q}), mp.ChunkSize(1))
	var puts []passingOn
	for i := range producers {
		puts = append(puts, passingOn{q, i + 1, each})
	}

	if _, err := mp.Map(t.Context(), pool, passOn, puts, mp.ChunkSize(1)); err != nil {
		t.Fatal(err)
	}
	_ = q.Close()
	lists, err := readers.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]map[int]bool{}
	for _, list := range lists {
		last := map[int]int{}
		for _, e := range list {
			if before, ok := last[e.Producer]; ok && before >= e.Number {
				t.Fatalf("of producer %d number %d after %d", e.Producer, e.Number, before)
			}
			last[e.Producer] = e.Number
			if seen[e.Producer] == nil {
				seen[e.Producer] = map[int]bool{}
			}
			if seen[e.Producer][e.Number] {
				t.Fatal("twice", e)
			}
			seen[e.Producer][e.Number] = true
		}
	}

	for i := range producers {
		if n := len(seen[i+1]); n != each {
			t.Errorf("%d of %d elements of producer %d", n, each, i+1)
		}
	}

	_ = q.Discard()
}

func make2[T any](n int, v T) []T { return slices.Repeat([]T{v}, n) }

// bringing is an element with objects that must live until the element is received.
type bringing struct {
	Array *ipc.Array[int]
	Lock  *ipc.Mutex
	File  *os.File
	Large []byte
}

var putAndDie = mp.Register("putAndDie", func(ctx context.Context, q *ipc.Queue[bringing]) (int, error) {
	for i := range 5 {
		b := bringing{Large: make([]byte, 500_000)}
		b.Large[499_999] = byte(i)
		var err error
		if b.Array, err = ipc.NewArray[int](100_000); err != nil {
			return 0, err
		}

		b.Array.Slice()[99_999] = i
		if b.Lock, err = ipc.NewMutex(); err != nil {
			return 0, err
		}
		if b.File, err = os.CreateTemp("", "mp-test"); err != nil {
			return 0, err
		}
		_ = os.Remove(b.File.Name())
		fmt.Fprint(b.File, i)
		if err := q.Put(ctx, b); err != nil {
			return 0, err
		}
		b.File.Close()
	}

	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
})

// An element stays in the queue with all its objects after its producer has died. Elements that are
// not received leave nothing behind.
func TestQueueOutlivesProducers(t *testing.T) {
	mptest.NoLeaks(t)
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	q := newQueue[bringing](t, 10)
	if _, err := mp.Call(t.Context(), pool, putAndDie, q); err == nil {
		t.Fatal("it lives")
	}
	for i := range 3 {
		b, err := q.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 1)
		if _, err := b.File.ReadAt(text, 0); err != nil || text[0] != '0'+byte(i) {
			t.Error(string(text), err)
		}
		if b.Array.Slice()[99_999] != i || b.Large[499_999] != byte(i) {
			t.Error("not what was put")
		}
		if ok, err := b.Lock.TryLock(); !ok || err != nil {
			t.Error(ok, err)
		}
		_, _, _ = b.Array.Close(), b.Lock.Close(), b.File.Close()
	}

	if err := q.Discard(); err != nil { // with the remaining elements
		t.Error(err)
	}
}

// Put returns an error if there is no memory or no descriptor for the element.
func TestQueueWithoutMemory(t *testing.T) {
	q := newQueue[[]byte](t, 1000)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}

	low := limit
	low.Cur = uint64(nextFD(t) + 20)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	put := 0
	var err error
	for ; put < 1000 && err == nil; put++ {
		err = q.TryPut(make([]byte, 1<<20))
	}

	if e := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, syscall.EMFILE) || q.Len() != put-1 {
		t.Errorf("%d elements of %d, %v", q.Len(), put, err)
	}
	for q.Len() > 0 {
		if b, err := q.TryGet(); err != nil || len(b) != 1<<20 {
			t.Fatal(len(b), err)
		}
	}
}

// nextFD returns the number that the next opened descriptor will get.
func nextFD(t *testing.T) int {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return int(f.Fd())
}

// The memory of a queue is given back when the queue is closed, drained and no longer reachable.
func TestQueueForgotten(t *testing.T) {
	mptest.NoLeaks(t)
	for range 10 {
		q, err := ipc.NewQueue[int]()
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Put(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		_ = q.Close()
		if v, err := q.Get(t.Context()); v != 1 || err != nil {
			t.Error(v, err)
		}
	}
}

// Put and Get of elements that consist of numbers do not allocate.
func TestQueueAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector lets pools forget")
	}
	q := newQueue[[64]byte](t, 0)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if err := q.Put(ctx, [64]byte{1}); err != nil {
			t.Error(err)
		}
		if v, err := q.Get(ctx); err != nil || v[0] != 1 {
			t.Error(v, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations an element", n)
	}
}

var failWith = mp.Register("failWith", func(_ context.Context, which int) (int, error) {
	return 0, fmt.Errorf("in a task: %w", sentinels[which])
})

var sentinels = []error{
	mp.ErrClosed, mp.ErrNotInitialized, mp.ErrGoexit, mp.ErrRunning, ipc.ErrFull, ipc.ErrEmpty, ipc.ErrMoved, ipc.ErrDirection,
	ipc.ErrOwnerDied, ipc.ErrNotHeld, ipc.ErrBroken, ipc.ErrOverRelease,
}

// Errors of mp keep their identity across processes. A CodecError wraps its cause.
func TestErrorsOfMessages(t *testing.T) {
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for i, want := range sentinels {
		if _, err := mp.Call(ctx, pool, failWith, i); !errors.Is(err, want) {
			t.Error(err)
		}
	}

	array := newArray[int](t, 1)
	_ = array.Close()
	_, closed := mp.Call(ctx, pool, readBoth, []*ipc.Array[int]{array})
	slab := newSlab[byte](t, 1)
	q := newQueue[any](t, 2)
	sent := errors.Join(q.Put(ctx, slab))
	again := q.Put(ctx, []any{slab})
	for want, err := range map[error]error{mp.ErrClosed: closed, ipc.ErrMoved: again} {
		var bad *mp.CodecError
		if !errors.Is(err, want) || !errors.As(err, &bad) {
			t.Error(want, err)
		}
	}

	if sent != nil {
		t.Error(sent)
	}
}

var capOf = mp.Register("capOf", func(_ context.Context, q *ipc.Queue[[64]byte]) (int, error) { return q.Cap(), q.TryPut([64]byte{1}) })

// A queue of the largest capacity that the documentation allows can be made, sent and used.
func TestQueueLargest(t *testing.T) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	q := newQueue[[64]byte](t, 1<<18)
	if n, err := mp.Call(t.Context(), pool, capOf, q); n != 1<<18 || err != nil {
		t.Fatal(n, err)
	}
	if v, err := q.Get(t.Context()); v[0] != 1 || err != nil {
		t.Error(v, err)
	}
}
