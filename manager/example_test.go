//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"sync"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/manager"
)

type words struct {
	Text   []string
	Counts *manager.Dict[string, int]
}

// one adds to a count in the manager's process.
var one = manager.Function("one", func(_ context.Context, n, by int) (int, error) { return n + by, nil })

var countWords = mp.RegisterAction("countWords", func(ctx context.Context, w words) error {
	for _, word := range w.Text {
		if _, err := manager.Update(ctx, w.Counts, word, one, 1); err != nil {
			return err
		}
	}
	return nil
})

// Workers count words into one map. Each update is atomic, so no count is lost.
func ExampleUpdate() {
	ctx := context.Background()
	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		log.Fatal(err)
	}

	defer m.Close()
	counts, err := manager.NewDict[string, int](ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	_, err = mp.Map(ctx, pool, countWords, []words{{[]string{"to", "be", "or"}, counts}, {[]string{"not", "to", "be"}, counts}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(counts.Copy(ctx))
	// Output:
	// map[be:2 not:1 or:1 to:2] <nil>
}

// started starts a manager for an example.
func started(ctx context.Context) *manager.Manager {
	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return m
}

// check ends an example that has failed.
func check(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		log.Fatal(err)
	}
}

func ExampleStart() {
	ctx := context.Background()
	m, err := manager.Start(ctx, manager.Config{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Ping(ctx))
	fmt.Println(m.Shutdown(ctx))
	fmt.Println(m.Ping(ctx))
	// Output:
	// <nil>
	// <nil>
	// mp: closed
}

func ExampleDict() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	ages, err := manager.NewDict[string, int](ctx, m)
	check(err, ages.SetAll(ctx, map[string]int{"Ann": 30}), ages.Set(ctx, "Bob", 40))

	fmt.Println(ages.Get(ctx, "Ann"))
	fmt.Println(ages.GetOrSet(ctx, "Bob", 50))
	fmt.Println(ages.CompareAndSwap(ctx, "Bob", 40, 41))
	fmt.Println(ages.Pop(ctx, "Ann"))
	for entry, err := range ages.All(ctx) {
		check(err)
		fmt.Println(entry.Key, entry.Value)
	}
	// Output:
	// 30 true <nil>
	// 40 true <nil>
	// true <nil>
	// 30 true <nil>
	// Bob 41
}

func ExampleList() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	l, err := manager.NewList(ctx, m, []string{"b", "a"})
	check(err)
	fmt.Println(l.Append(ctx, "d", "c"))
	fmt.Println(l.Pop(ctx, -1))
	check(l.Rewrite(ctx, func(all []string) ([]string, error) { slices.Sort(all); return all, nil }))
	fmt.Println(l.Copy(ctx))
	fmt.Println(l.Get(ctx, 7))
	// Output:
	// 4 <nil>
	// c true <nil>
	// [a b d] <nil>
	//  manager: the index is out of range: 7 of 3
}

func ExampleSet() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	seen, err := manager.NewSet(ctx, m, []string{"a"})
	check(err)
	fmt.Println(seen.Add(ctx, "a", "b")) // only "b" is new
	fmt.Println(seen.Has(ctx, "b"))
	fmt.Println(seen.Copy(ctx))
	// Output:
	// 1 <nil>
	// true <nil>
	// [a b] <nil>
}

func ExampleValue() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	v, err := manager.NewValue(ctx, m, []string{"draft"})
	check(err)
	fmt.Println(v.Swap(ctx, []string{"final"}))
	fmt.Println(v.Load(ctx))
	// Output:
	// [draft] <nil>
	// [final] <nil>
}

func ExampleNamespace() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	settings, err := manager.NewNamespace(ctx, m)
	check(err, manager.SetAttribute(ctx, settings, "depth", 3), manager.SetAttribute(ctx, settings, "hosts", []string{"a", "b"}))
	fmt.Println(manager.Attribute[int](ctx, settings, "depth"))
	fmt.Println(manager.Attribute[[]string](ctx, settings, "hosts"))
	// Output:
	// 3 true <nil>
	// [a b] true <nil>
}

func ExampleQueue() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	jobs, err := manager.NewQueue[string](ctx, m, 10)
	check(err, jobs.Put(ctx, "first"), jobs.Put(ctx, "second"), jobs.CloseSend(ctx))
	for job, err := range jobs.All(ctx) {
		fmt.Println(job, err, jobs.TaskDone(ctx))
	}
	fmt.Println(jobs.Join(ctx))
	// Output:
	// first <nil> <nil>
	// second <nil> <nil>
	// <nil>
}

func ExampleMutex() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	lock, err := manager.NewMutex(ctx, m)
	check(err, lock.Lock(ctx))
	fmt.Println(lock.TryLock(ctx))
	fmt.Println(lock.Unlock(ctx), lock.Unlock(ctx))
	// Output:
	// false <nil>
	// <nil> mp: not held by this process
}

func ExampleRWMutex() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	lock, err := manager.NewRWMutex(ctx, m)
	check(err, lock.RLock(ctx), lock.RLock(ctx)) // two readers
	fmt.Println(lock.TryLock(ctx))
	check(lock.RUnlock(ctx), lock.RUnlock(ctx))
	fmt.Println(lock.TryLock(ctx))
	// Output:
	// false <nil>
	// true <nil>
}

func ExampleRecursiveMutex() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	lock, err := manager.NewRecursiveMutex(ctx, m)
	check(err)
	held, err := lock.Lock(ctx)
	check(err, held.Lock()) // any code that has the Held can lock again
	fmt.Println(held.Unlock(ctx), held.Unlock(ctx))
	// Output:
	// <nil> <nil>
}

func ExampleSemaphore() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	ready, err := manager.NewSemaphore(ctx, m, 0)
	check(err)
	var other sync.WaitGroup
	other.Go(func() { check(ready.Release(ctx)) })
	fmt.Println(ready.Acquire(ctx))
	other.Wait()
	// Output:
	// <nil>
}

func ExampleBoundedSemaphore() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	s, err := manager.NewBoundedSemaphore(ctx, m, 2)
	check(err, s.Acquire(ctx), s.Acquire(ctx))
	fmt.Println(s.TryAcquire(ctx))
	check(s.Release(ctx))
	fmt.Println(s.Available(ctx))
	// Output:
	// false <nil>
	// 1 <nil>
}

func ExampleCond() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	lock, err := manager.NewMutex(ctx, m)
	check(err)
	changed, err := manager.NewCond(ctx, m, lock)
	check(err)
	ready, err := manager.NewValue(ctx, m, false)
	check(err, lock.Lock(ctx))
	var other sync.WaitGroup
	other.Go(func() {
		check(lock.Lock(ctx), ready.Store(ctx, true), changed.Broadcast(ctx), lock.Unlock(ctx))
	})

	err = changed.WaitFor(ctx, func() bool { yes, err := ready.Load(ctx); check(err); return yes })
	fmt.Println(err, lock.Unlock(ctx))
	other.Wait()
	// Output:
	// <nil> <nil>
}

func ExampleEvent() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	begin, err := manager.NewEvent(ctx, m)
	check(err)
	var other sync.WaitGroup
	other.Go(func() { check(begin.Set(ctx)) })
	fmt.Println(begin.Wait(ctx))
	other.Wait()
	// Output:
	// <nil>
}

func ExampleBarrier() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	b, err := manager.NewBarrier(ctx, m, 3)
	check(err)
	var parties sync.WaitGroup
	for range 3 {
		parties.Go(func() {
			_, err := b.WaitDo(ctx, func() error { fmt.Println("all are here"); return nil })
			check(err)
		})
	}
	parties.Wait()
	// Output:
	// all are here
}

func ExampleWaitGroup() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	g, err := manager.NewWaitGroup(ctx, m)
	check(err, g.Add(ctx, 2))
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() { check(g.Done(ctx)) })
	}
	fmt.Println(g.Wait(ctx))
	others.Wait()
	// Output:
	// <nil>
}

// Counter is a type whose objects live in a manager. Many goroutines may call its methods at once.
type Counter struct {
	mu sync.Mutex
	n  int
}

// Add adds n and returns the sum.
func (c *Counter) Add(_ context.Context, n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n+n < 0 {
		return c.n, errors.New("below zero")
	}
	c.n += n
	return c.n, nil
}

var (
	counters   = manager.Type("counter", func(_ context.Context, from int) (*Counter, error) { return &Counter{n: from}, nil })
	addCounter = manager.Method("addCounter", (*Counter).Add)
)

// An object of the program's own type stays in the manager. Its registered methods can be called
// from any process.
func ExampleMethod() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	c, err := manager.New(ctx, m, counters, 40)
	check(err)
	fmt.Println(manager.Invoke(ctx, c, addCounter, 2))
	fmt.Println(manager.Invoke(ctx, c, addCounter, -50))
	// Output:
	// 42 <nil>
	// 0 below zero
}

// Many operations on any objects of a manager take a single message and are atomic.
func ExampleManager_Do() {
	ctx := context.Background()
	m := started(ctx)
	defer m.Close()
	done, err := manager.NewSet[string](ctx, m, nil)
	check(err)
	results, err := manager.NewDict[string, float64](ctx, m)
	check(err)
	total, err := manager.NewValue(ctx, m, 7.5)
	check(err)

	var fresh int
	var sum float64
	err = m.Do(ctx, done.AddOp(&fresh, "job 1"), results.SetOp("job 1", 0.5), total.LoadOp(&sum))
	fmt.Println(fresh, sum, err)
	// Output:
	// 1 7.5 <nil>
}

// Another program (in this example, the same program) finds a manager by its address and key, and
// the objects by their names.
func ExampleDial() {
	ctx := context.Background()
	key := []byte("some random bytes that both have read from a file")
	m, err := manager.Start(ctx, manager.Config{Network: "tcp", Address: "127.0.0.1:0", Key: key})
	check(err)
	defer m.Close()
	jobs, err := manager.NewQueue[string](ctx, m, 0, manager.Named("jobs"))
	check(err, jobs.Put(ctx, "from the program that has started it"))

	there, err := manager.Dial(ctx, "tcp", m.Addr(), connection.Config{Key: key})
	check(err)
	defer there.Close()
	sameJobs, err := manager.NewQueue[string](ctx, there, 0, manager.Named("jobs"))
	check(err)
	fmt.Println(sameJobs.Get(ctx))
	// Output:
	// from the program that has started it <nil>
}

// prepare runs in the manager's process before the manager serves any client.
var prepare = manager.SetupFunc("prepare", func(_ context.Context, _ *manager.Server, greeting string) error {
	fmt.Println(greeting)
	return nil
})

func ExampleSetupFunc() {
	ctx := context.Background()
	m, err := manager.Start(ctx, manager.Config{Setup: prepare.With("ready to serve")})
	check(err)
	fmt.Println(m.Shutdown(ctx)) // returns after the manager's output has arrived
	// Output:
	// ready to serve
	// <nil>
}
