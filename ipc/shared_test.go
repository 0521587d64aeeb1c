//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

func newMutex(t testing.TB) *ipc.Mutex {
	t.Helper()
	m, err := ipc.NewMutex()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func newEvent(t testing.TB) *ipc.Event {
	t.Helper()
	e, err := ipc.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func newArray[T any](t testing.TB, n int) *ipc.Array[T] {
	t.Helper()
	a, err := ipc.NewArray[T](n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

type counting struct {
	Lock  *ipc.Mutex
	Array *ipc.Array[int]
	Times int
}

var countUnder = mp.Register("countUnder", func(ctx context.Context, c counting) (int, error) {
	for range c.Times {
		if err := c.Lock.Lock(ctx); err != nil {
			return 0, err
		}
		c.Array.Slice()[0]++
		if err := c.Lock.Unlock(); err != nil {
			return 0, err
		}
	}
	return c.Array.Slice()[0], nil
})

// V4 V5: no increment that workers make under a lock is lost.
func TestSharedCounter(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 3})
	lock, array := newMutex(t), newArray[int](t, 10)
	const each, times = 20, 5000
	args := slices.Repeat([]counting{{lock, array, times}}, each)
	if _, err := mp.Map(t.Context(), pool, countUnder, args); err != nil {
		t.Fatal(err)
	}
	if n := array.Slice()[0]; n != each*times {
		t.Errorf("%d instead of %d", n, each*times)
	}
}

// everything has a handle of each type, and handles in all places where handles can be.
type everything struct {
	Mutex, Same *ipc.Mutex
	None        *ipc.Mutex
	ByValue     ipc.Mutex
	RW          *ipc.RWMutex
	Recursive   *ipc.RecursiveMutex
	Semaphore   *ipc.Semaphore
	Bounded     *ipc.BoundedSemaphore
	Cond        *ipc.Cond
	Barrier     *ipc.Barrier
	Group       *ipc.WaitGroup
	Once        *ipc.Once
	Value       *ipc.Value[[3]int]
	Guarded     *ipc.Value[int]
	Number      *ipc.Atomic[float64]
	Large       *ipc.Array[uint16]
	Memory      *ipc.SharedMemory
	List        []*ipc.Event
	ByName      map[string]*ipc.Event
	Any         any
	Anys        []any
}

func newEverything(t testing.TB) (e everything) {
	t.Helper()
	e.Mutex = newMutex(t)
	e.Same, e.ByValue = e.Mutex, *e.Mutex
	e.RW = must(ipc.NewRWMutex())
	e.Recursive = must(ipc.NewRecursiveMutex())
	e.Semaphore = must(ipc.NewSemaphore(3))
	e.Bounded = must(ipc.NewBoundedSemaphore(3))
	e.Cond = must(ipc.NewCond(e.Mutex))
	e.Barrier = must(ipc.NewBarrier(1))
	e.Group = must(ipc.NewWaitGroup())
	e.Once = must(ipc.NewOnce())
	e.Value = must(ipc.NewValue([3]int{1, 2, 3}))
	e.Guarded = must(ipc.NewValue(5, ipc.GuardedBy(e.Mutex)))
	e.Number = must(ipc.NewAtomic(1.5))
	e.Large = must(ipc.NewArray[uint16](100_000))
	e.Memory = must(ipc.NewSharedMemory(5))
	e.List = []*ipc.Event{newEvent(t), nil, newEvent(t)}
	e.ByName = map[string]*ipc.Event{"first": e.List[0]}
	e.Any = e.List[2]
	e.Anys = []any{e.Mutex, newArray[int8](t, 3), e.Number}
	for _, c := range []interface{ Close() error }{
		e.RW, e.Recursive, e.Semaphore, e.Bounded, e.Cond, e.Barrier, e.Group, e.Once, e.Value, e.Guarded, e.Number, e.Large, e.Memory,
	} {
		t.Cleanup(func() { _ = c.Close() })
	}

	return e
}

// use uses each object once, and makes changes that other processes can see.
func (e everything) use(ctx context.Context) error {
	held, err := e.Recursive.Lock(ctx)
	ok1, err1 := e.Semaphore.TryAcquire()
	ok2, err2 := e.Bounded.TryAcquire()
	index, err3 := e.Barrier.Wait(ctx)
	errs := []error{
		err, err1, err2, err3, held.Unlock(), e.Bounded.Release(),
		e.Mutex.Lock(ctx), e.Cond.Signal(), e.ByValue.Unlock(),
		e.RW.Lock(ctx), e.RW.Unlock(), e.RW.RLock(ctx), e.RW.RUnlock(),
		e.Group.Add(2), e.Once.Do(ctx, func() error { return nil }),
		e.Value.Update(ctx, func(v *[3]int) error { v[1]++; return nil }),
		e.Guarded.Update(ctx, func(v *int) error { *v++; return nil }),
		e.Large.View(func(s []uint16) error { s[99_999]++; return nil }),
		e.Memory.View(func(b []byte) error { b[4]++; return nil }),
		e.ByName["first"].Set(), e.Any.(*ipc.Event).Set(), errOf(e.Number.Add(1)),
		e.Anys[1].(*ipc.Array[int8]).View(func(s []int8) error { s[2]--; return nil }),
	}
	if !ok1 || !ok2 || index != 0 {
		errs = append(errs, fmt.Errorf("no permit, or index %d", index))
	}

	return errors.Join(errs...)
}

// state describes, as this process sees it, everything that the method use changes.
func (e everything) state(ctx context.Context) string {
	permits, _ := e.Semaphore.Available()
	bounded, _ := e.Bounded.Available()
	count, _ := e.Group.Count()
	done, _ := e.Once.Done()
	value, _ := e.Value.Load(ctx)
	guarded, _ := e.Guarded.Load(ctx)
	number, _ := e.Number.Load()
	set, _ := e.List[0].IsSet()
	anySet, _ := e.List[2].IsSet()
	return fmt.Sprint(permits, bounded, count, done, value, guarded, number, set, anySet, e.Large.Slice()[99_999], e.Memory.Bytes()[4], e.Anys[1].(*ipc.Array[int8]).Slice()[2])
}

// same returns an error if pointers that must be equal differ.
func (e everything) same() error {
	for what, ok := range map[string]bool{
		"two fields": e.Mutex == e.Same, "nil": e.None == nil && e.List[1] == nil,
		"a map": e.ByName["first"] == e.List[0], "any": e.Any.(*ipc.Event) == e.List[2],
		"a slice of any": e.Anys[0].(*ipc.Mutex) == e.Mutex && e.Anys[2].(*ipc.Atomic[float64]) == e.Number,
		"a Cond's":       e.Cond.Mutex() == e.Mutex, "a Value's": e.Guarded.Mutex() == e.Mutex, "by value": e.ByValue == *e.Mutex,
	} {
		if !ok {
			return errors.New("not the same: " + what)
		}
	}
	return nil
}

var earlier *everything // the argument of this worker's previous task

var useAll = mp.Register("useAll", func(ctx context.Context, e everything) (everything, error) {
	err := errors.Join(e.same(), e.use(ctx))
	if earlier != nil && (earlier.Mutex != e.Mutex || earlier.Large != e.Large) {
		err = errors.Join(err, errors.New("another object than in the task before"))
	}
	earlier = &e
	return e, err
})

// Handles of all types arrive anywhere in arguments and results, and equal handles become the same
// object.
func TestHandlesTravel(t *testing.T) {
	earlier = nil
	for name, ex := range map[string]mp.Executor{
		"pool":   newPool(t, mp.PoolConfig{Workers: 1}),
		"inline": must(mp.NewInline(mp.InlineConfig{})),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEverything(t)
			for i := range 2 {
				back, err := mp.Call(t.Context(), ex, useAll, e)
				if err != nil {
					t.Fatal(err)
				}
				if back.Mutex != e.Mutex || back.Large != e.Large || back.Any != e.Any {
					t.Error("what came back is another object")
				}
				want := []string{"2 3 2 true [1 3 3] 6 2.5 true true 1 1 -1", "1 3 4 true [1 4 3] 7 3.5 true true 2 2 -2"}[i]
				if got := e.state(t.Context()); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			// The Mutex is unlocked and still open in this process.
			if err := e.Mutex.Lock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// V3: the methods of a Value made with GuardedBy wait for the given lock. V2: those of an unlocked
// Value wait for no lock. V8: values that were loaded or copied do not change later.
func TestValueLocks(t *testing.T) {
	lock := newMutex(t)
	guarded, free := must(ipc.NewValue(1, ipc.GuardedBy(lock))), must(ipc.NewValue(1, ipc.Unlocked()))
	defer guarded.Close()
	defer free.Close()

	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if err := lock.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	waits := mp.Submit(t.Context(), pool, increase, guarded)
	if v, err := mp.Call(t.Context(), pool, increase, free); v != 2 || err != nil {
		t.Errorf("without a lock: %d, %v", v, err)
	}
	if s := waits.State(); s != mp.Pending && s != mp.Running {
		t.Errorf("it did not wait for its caller's lock: %v", s)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	if v, err := waits.Result(t.Context()); v != 2 || err != nil {
		t.Errorf("with a lock: %d, %v", v, err)
	}

	array := newArray[int](t, 1)
	loaded, err := free.Load(t.Context())
	copied, err2 := array.Copy()
	if err := errors.Join(err, err2, free.Store(t.Context(), 7)); err != nil {
		t.Error(err)
	}
	array.Slice()[0] = 7
	if loaded != 2 || copied[0] != 0 {
		t.Errorf("what was copied has changed: %d, %v", loaded, copied)
	}
}

var increase = mp.Register("increase", func(ctx context.Context, v *ipc.Value[int]) (n int, err error) {
	err = v.Update(ctx, func(at *int) error { *at++; n = *at; return nil })
	return n, err
})

// V22 V24: the size of a handle does not depend on its object.
func TestHandlesHaveOneSize(t *testing.T) {
	small, large := newArray[int](t, 1), newArray[int](t, 1<<20)
	a, err := small.MarshalBinary()
	b, err2 := large.MarshalBinary()
	if err != nil || err2 != nil || len(a) != len(b) || len(a) > 64 {
		t.Errorf("%d and %d bytes, %v, %v", len(a), len(b), err, err2)
	}
}

// V1: every number type round-trips. V7: structs of fixed-size fields round-trip, too.
func TestNumberTypes(t *testing.T) {
	mptest.NoLeaks(t)
	number[int](t, -1)
	number[int8](t, -128)
	number[int16](t, -3)
	number[int32](t, -1<<31)
	number[int64](t, -1<<63)
	number[uint](t, 1<<63)
	number[uint8](t, 255)
	number[uint16](t, 65535)
	number[uint32](t, 1<<32-1)
	number[uint64](t, 1<<64-1)
	number[float32](t, 1.25)
	number(t, 2.5e10)
	type point struct {
		X, Y float64
		Tag  [3]uint8
		Z    complex64
	}
	v := must(ipc.NewValue(point{1, 2, [3]uint8{3, 4, 5}, 6i}))
	defer v.Close()

	if p, err := v.Load(t.Context()); err != nil || p != (point{1, 2, [3]uint8{3, 4, 5}, 6i}) {
		t.Error(p, err)
	}
}

func number[T ipc.Number](t *testing.T, n T) {
	t.Helper()
	ctx := t.Context()
	a := must(ipc.NewAtomic(n))
	defer a.Close()
	v := must(ipc.NewValue(n))
	defer v.Close()
	s := must(ipc.NewArray[T](3))
	defer s.Close()

	if got, err := a.Load(); got != n || err != nil {
		t.Errorf("%T: %v, %v", n, got, err)
	}
	if got, err := v.Load(ctx); got != n || err != nil {
		t.Errorf("%T: %v, %v", n, got, err)
	}

	s.Slice()[1] = n
	if c, err := s.Copy(); c[0] != 0 || c[1] != n || err != nil {
		t.Errorf("%T: %v, %v", n, c, err)
	}

	want := n + 3 // may overflow
	if got, err := a.Add(3); got != want || err != nil {
		t.Errorf("%T: %v + 3 is %v, %v", n, n, got, err)
	}
	if ok, err := a.CompareAndSwap(n, 7); ok || err != nil {
		t.Errorf("%T: swapped, %v", n, err)
	}
	if ok, err := a.CompareAndSwap(want, 7); !ok || err != nil {
		t.Errorf("%T: not swapped, %v", n, err)
	}
	if got, err := a.Swap(9); got != 7 || err != nil {
		t.Errorf("%T: swapped %v, %v", n, got, err)
	}
	if err := a.Store(n); err != nil {
		t.Error(err)
	}
}

// V12: constructors return errors for impossible sizes and types, and the errors name the field.
func TestUnusableShared(t *testing.T) {
	type inner struct{ Name string }
	type outer struct {
		N     int
		Parts [2]inner
	}
	type flagged struct{ On bool }
	for want, err := range map[string]error{
		"outer.Parts[].Name is a string": errOf(ipc.NewArray[outer](1)),
		"flagged.On is a bool":           errOf(ipc.NewValue(flagged{})),
		"*int is a pointer":              errOf(ipc.NewArray[*int](1)),
		"has no size":                    errOf(ipc.NewArray[struct{}](1)),
		"0 elements":                     errOf(ipc.NewArray[int](0)),
		"-1 elements":                    errOf(ipc.NewArray[int](-1)),
		"4611686018427387904 elements":   errOf(ipc.NewArray[int](1 << 62)),
		"0 bytes":                        errOf(ipc.NewSharedMemory(0)),
		"-1 permits":                     errOf(ipc.NewSemaphore(-1)),
		"0 permits":                      errOf(ipc.NewBoundedSemaphore(0)),
		"0 parties":                      errOf(ipc.NewBarrier(0)),
		"the Mutex is nil":               errOf(ipc.NewCond(nil)),
		"512 KiB":                        errOf(ipc.NewValue([1 << 20]int{})),
		"exclude each other":             errOf(ipc.NewValue(1, ipc.GuardedBy(newMutex(t)), ipc.Unlocked())),
		"GuardedBy needs a Mutex":        errOf(ipc.NewValue(1, ipc.GuardedBy(nil))),
		"GuardedBy needs a Mutex that":   errOf(ipc.NewValue(1, ipc.GuardedBy(nil), ipc.GuardedBy(newMutex(t)))),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// Making and closing a million objects leaves nothing behind. Many objects can be open at the same
// time.
func TestManyObjects(t *testing.T) {
	mptest.NoLeaks(t)
	million, many := 1_000_000, 100_000
	if testing.Short() {
		million, many = 50_000, 10_000
	}
	for i := range million {
		m, err := ipc.NewMutex()
		if err != nil {
			t.Fatal(i, err)
		}
		_ = m.Close()
	}

	alive := make([]*ipc.Atomic[int], many)
	for i := range alive {
		alive[i] = must(ipc.NewAtomic(i))
	}

	pool := newPool(t, mp.PoolConfig{Workers: 2})
	if _, err := mp.Map(t.Context(), pool, addOne, alive); err != nil {
		t.Fatal(err)
	}
	for i, a := range alive {
		if n, err := a.Load(); n != i+1 || err != nil {
			t.Fatal(i, n, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

var addOne = mp.Register("addOne", func(_ context.Context, a *ipc.Atomic[int]) (int, error) { return a.Add(1) })

// A nil option changes nothing.
func TestNilOptions(t *testing.T) {
	m, err := ipc.NewMutex(nil)
	if err == nil {
		err = m.Close()
	}

	q, err2 := ipc.NewQueue[int](nil, ipc.Capacity(3))
	if err2 == nil {
		err2 = q.Discard()
	}

	a, b, err3 := ipc.NewPipe[int](nil)
	if err3 == nil {
		err3 = errors.Join(a.Close(), b.Close())
	}
	v, err4 := ipc.NewValue(1, nil)
	if err4 == nil {
		err4 = v.Close()
	}
	s, err5 := ipc.NewSharedMemory(1, nil)
	if err5 == nil {
		err5 = s.Close()
	}
	if err := errors.Join(err, err2, err3, err4, err5); err != nil || q.Cap() != 3 {
		t.Errorf("%v, and the queue holds %d", err, q.Cap())
	}
}

type (
	ownMutex   ipc.Mutex
	ownQueue   ipc.Queue[int]
	ownConn    ipc.Conn[int]
	embedding  struct{ ipc.Mutex }
	pointing   struct{ *ipc.Mutex }
	guardedInt struct {
		*ipc.Mutex
		N int
	}
	boxed[T any] struct{ ipc.Value[T] }
)

// A type that only has the methods of an object, or its fields, cannot be sent: the error comes
// before any task runs.
func TestDerivedTypesCannotBeSent(t *testing.T) {
	for name, err := range map[string]error{
		"ownMutex":         errOf(codec.For[*ownMutex]()),
		"[]ownMutex":       errOf(codec.For[[]ownMutex]()),
		"ownQueue":         errOf(codec.For[*ownQueue]()),
		"ownConn":          errOf(codec.For[*ownConn]()),
		"embedding":        errOf(codec.For[embedding]()),
		"*embedding":       errOf(codec.For[*embedding]()),
		"map of embedding": errOf(codec.For[map[string]*embedding]()),
		"pointing":         errOf(codec.For[pointing]()),
		"guardedInt":       errOf(codec.For[struct{ G guardedInt }]()),
		"boxed":            errOf(codec.For[*boxed[int]]()),
	} {
		if err == nil {
			t.Errorf("%s can be sent", name)
		}
	}

	if err := errOf(codec.For[struct{ Lock *ipc.Mutex }]()); err != nil {
		t.Error(err)
	}
}
