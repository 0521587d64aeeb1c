//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"syscall"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// ledger is an argument. Any message can contain handles, which refer to the same objects in every
// process.
type ledger struct {
	Lock     *ipc.Mutex
	Accounts *ipc.Array[int]
}

var transfer = mp.RegisterAction("transfer", func(ctx context.Context, l ledger) error {
	if err := l.Lock.Lock(ctx); err != nil {
		return err
	}
	accounts := l.Accounts.Slice()
	accounts[0] -= 5
	accounts[1] += 5
	return l.Lock.Unlock()
})

// Only one worker at a time holds the lock, so no update is lost.
func ExampleMutex() {
	p := pool() // two workers
	defer p.Close()
	lock, err := ipc.NewMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	accounts, err := ipc.NewArray[int](2)
	if err != nil {
		log.Fatal(err)
	}
	defer accounts.Close()
	accounts.Slice()[0] = 1000

	tasks := slices.Repeat([]ledger{{lock, accounts}}, 100)
	_, err = mp.Map(context.Background(), p, transfer, tasks)
	fmt.Println(accounts.Slice(), err)
	// Output: [500 500] <nil>
}

var dieInTransfer = mp.RegisterAction("dieInTransfer", func(ctx context.Context, l ledger) error {
	if err := l.Lock.Lock(ctx); err != nil {
		return err
	}
	l.Accounts.Slice()[0] -= 5
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
})

// After a holder has died, Lock returns ErrOwnerDied. Recover repairs the shared data and makes the
// lock usable again.
func ExampleMutex_Recover() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	lock, err := ipc.NewMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	accounts, err := ipc.NewArray[int](2)
	if err != nil {
		log.Fatal(err)
	}
	defer accounts.Close()
	copy(accounts.Slice(), []int{1000, 0})

	_, err = mp.Call(ctx, p, dieInTransfer, ledger{lock, accounts})
	var dead *mp.WorkerError
	fmt.Println("killed:", errors.As(err, &dead))

	err = lock.Lock(ctx) // on error the lock is not held
	fmt.Println("told:", errors.Is(err, ipc.ErrOwnerDied), accounts.Slice())

	err = lock.Recover(ctx, func() error {
		a := accounts.Slice()
		a[0] = 1000 - a[1]
		return nil
	})
	fmt.Println("repaired:", accounts.Slice(), err)

	_, err = mp.Call(ctx, p, transfer, ledger{lock, accounts})
	fmt.Println("goes on:", accounts.Slice(), err)
	// Output:
	// killed: true
	// told: true [995 0]
	// repaired: [1000 0] <nil>
	// goes on: [995 5] <nil>
}

type quotes struct {
	Lock  *ipc.RWMutex
	Price *ipc.Array[float64] // bid and ask
}

var raise = mp.RegisterAction("raise", func(ctx context.Context, q quotes) error {
	if err := q.Lock.Lock(ctx); err != nil {
		return err
	}
	p := q.Price.Slice()
	p[0]++
	p[1]++
	return q.Lock.Unlock()
})

var spread = mp.Register("spread", func(ctx context.Context, q quotes) (float64, error) {
	if err := q.Lock.RLock(ctx); err != nil {
		return 0, err
	}
	p := q.Price.Slice()
	d := p[1] - p[0]
	return d, q.Lock.RUnlock()
})

// Readers do not wait for each other, and never see half of a change.
func ExampleRWMutex() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	lock, err := ipc.NewRWMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	price, err := ipc.NewArray[float64](2)
	if err != nil {
		log.Fatal(err)
	}
	defer price.Close()
	copy(price.Slice(), []float64{99, 101})

	tasks := slices.Repeat([]quotes{{lock, price}}, 100)
	raised := mp.MapAsync(ctx, p, raise, tasks)
	spreads, err := mp.Map(ctx, p, spread, tasks)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := raised.Result(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(slices.Compact(spreads), price.Slice())
	// Output: [2] [199 201]
}

type journal struct {
	Lock  *ipc.RecursiveMutex
	Lines *ipc.Array[int]
}

// add writes one line. The caller must hold the lock, and passes its Held as proof.
func (j journal) add(held *ipc.Held, line int) error {
	if err := held.Lock(); err != nil {
		return err
	}
	lines := j.Lines.Slice()
	lines[0]++
	lines[lines[0]] = line
	return held.Unlock()
}

var addPair = mp.RegisterAction("addPair", func(ctx context.Context, j journal) error {
	held, err := j.Lock.Lock(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(j.add(held, 1), j.add(held, 2)); err != nil {
		return err
	}
	return held.Unlock()
})

// Functions that take the lock can call each other if they pass on the Held, which identifies the
// holder.
func ExampleRecursiveMutex() {
	p := pool()
	defer p.Close()
	lock, err := ipc.NewRecursiveMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	lines, err := ipc.NewArray[int](7)
	if err != nil {
		log.Fatal(err)
	}
	defer lines.Close()

	tasks := slices.Repeat([]journal{{lock, lines}}, 3)
	_, err = mp.Map(context.Background(), p, addPair, tasks)
	fmt.Println(lines.Slice(), err) // no other line came between a pair
	// Output: [6 1 2 1 2 1 2] <nil>
}

type belt struct {
	Ready *ipc.Semaphore // one permit for each item that is ready
	Items *ipc.Array[int]
}

var produce = mp.RegisterAction("produce", func(_ context.Context, b belt) error {
	for i := range b.Items.Slice() {
		b.Items.Slice()[i] = i * i
		if err := b.Ready.Release(); err != nil {
			return err
		}
	}
	return nil
})

var consume = mp.Register("consume", func(ctx context.Context, b belt) (sum int, err error) {
	for i := range b.Items.Slice() {
		if err := b.Ready.Acquire(ctx); err != nil {
			return 0, err
		}
		sum += b.Items.Slice()[i]
	}
	return sum, nil
})

// A Semaphore counts the items that one process has made ready for another.
func ExampleSemaphore() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	ready, err := ipc.NewSemaphore(0)
	if err != nil {
		log.Fatal(err)
	}
	defer ready.Close()
	items, err := ipc.NewArray[int](10)
	if err != nil {
		log.Fatal(err)
	}
	defer items.Close()

	sum := mp.Submit(ctx, p, consume, belt{ready, items})
	if _, err := mp.Call(ctx, p, produce, belt{ready, items}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum.Result(ctx))
	// Output: 285 <nil>
}

var useLicense = mp.RegisterAction("useLicense", func(ctx context.Context, licenses *ipc.BoundedSemaphore) error {
	if err := licenses.Acquire(ctx); err != nil {
		return err
	}
	os.Exit(3) // the licensed program crashes
	return licenses.Release()
})

// When a worker dies, its permits become free again.
func ExampleBoundedSemaphore() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	licenses, err := ipc.NewBoundedSemaphore(2)
	if err != nil {
		log.Fatal(err)
	}
	defer licenses.Close()

	_, err = mp.Call(ctx, p, useLicense, licenses)
	var dead *mp.WorkerError
	fmt.Println("died:", errors.As(err, &dead))
	fmt.Println(licenses.Acquire(ctx), licenses.Acquire(ctx))
	fmt.Println(licenses.Release(), licenses.Release())
	fmt.Println("once more:", errors.Is(licenses.Release(), ipc.ErrOverRelease))
	// Output:
	// died: true
	// <nil> <nil>
	// <nil> <nil>
	// once more: true
}

// slot holds one number at a time. 0 means that it is empty.
type slot struct {
	Changed *ipc.Cond // brings along its Mutex
	Number  *ipc.Array[int]
}

// swap waits until the slot is empty, or if empty is false, until it is full. It then stores next
// in the slot and returns the old number.
func (s slot) swap(ctx context.Context, empty bool, next int) (old int, err error) {
	lock := s.Changed.Mutex()
	if err := lock.Lock(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	number := s.Number.Slice()
	if err := s.Changed.WaitFor(ctx, func() bool { return (number[0] == 0) == empty }); err != nil {
		return 0, err
	}
	old, number[0] = number[0], next
	return old, s.Changed.Broadcast()
}

var put = mp.RegisterAction("put", func(ctx context.Context, s slot) error {
	for n := range 4 {
		if _, err := s.swap(ctx, true, n+1); err != nil {
			return err
		}
	}
	return nil
})

var take = mp.Register("take", func(ctx context.Context, s slot) (taken []int, err error) {
	for range 4 {
		n, err := s.swap(ctx, false, 0)
		if err != nil {
			return taken, err
		}
		taken = append(taken, n)
	}
	return taken, nil
})

// Two workers take turns: each waits until the other has changed the slot.
func ExampleCond() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	lock, err := ipc.NewMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	changed, err := ipc.NewCond(lock)
	if err != nil {
		log.Fatal(err)
	}
	defer changed.Close()
	number, err := ipc.NewArray[int](1)
	if err != nil {
		log.Fatal(err)
	}
	defer number.Close()

	taken := mp.Submit(ctx, p, take, slot{changed, number})
	if _, err := mp.Call(ctx, p, put, slot{changed, number}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(taken.Result(ctx))
	// Output: [1 2 3 4] <nil>
}

type race struct {
	Ready *ipc.WaitGroup
	Start *ipc.Event
}

var runRace = mp.Register("runRace", func(ctx context.Context, r race) (string, error) {
	if err := r.Ready.Done(); err != nil {
		return "", err
	}
	if err := r.Start.Wait(ctx); err != nil {
		return "", err
	}
	return "arrived", nil
})

// An Event releases all waiting processes, and later callers of Wait do not wait.
func ExampleEvent() {
	p := pool()
	defer p.Close()

	ctx := context.Background()
	start, err := ipc.NewEvent()
	if err != nil {
		log.Fatal(err)
	}
	defer start.Close()
	ready, err := ipc.NewWaitGroup()
	if err != nil {
		log.Fatal(err)
	}
	defer ready.Close()
	if err := ready.Add(2); err != nil {
		log.Fatal(err)
	}

	arrived := mp.MapAsync(ctx, p, runRace, slices.Repeat([]race{{ready, start}}, 2))
	if err := ready.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("on your marks")
	if err := start.Set(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(arrived.Result(ctx))
	// Output:
	// on your marks
	// [arrived arrived] <nil>
}

// half is one of two tasks that work on the same array at the same time.
type half struct {
	Step    *ipc.Barrier
	Numbers *ipc.Array[int]
	Index   int
}

// exchange writes its number, waits until the other task has written its own, and returns the sum.
var exchange = mp.Register("exchange", func(ctx context.Context, h half) (int, error) {
	numbers := h.Numbers.Slice()
	numbers[h.Index] = 10 * (h.Index + 1)
	if _, err := h.Step.Wait(ctx); err != nil {
		return 0, err
	}
	return numbers[0] + numbers[1], nil
})

// No task begins the next step before all tasks have finished the previous one.
func ExampleBarrier() {
	p := pool() // has a worker for each party: with fewer, all would wait forever
	defer p.Close()
	step, err := ipc.NewBarrier(2)
	if err != nil {
		log.Fatal(err)
	}
	defer step.Close()
	numbers, err := ipc.NewArray[int](2)
	if err != nil {
		log.Fatal(err)
	}
	defer numbers.Close()

	fmt.Println(mp.Map(context.Background(), p, exchange, []half{{step, numbers, 0}, {step, numbers, 1}}))
	// Output: [30 30] <nil>
}

var flush = mp.RegisterAction("flush", func(_ context.Context, g *ipc.WaitGroup) error {
	if err := g.Add(1); err != nil {
		return err
	}
	go func() { // continues in the worker after the task ends
		_ = g.Done()
	}()
	return nil
})

// A WaitGroup waits for goroutines that tasks leave running in their workers.
func ExampleWaitGroup() {
	p := pool()
	defer p.Close()
	ctx := context.Background()
	flushing, err := ipc.NewWaitGroup()
	if err != nil {
		log.Fatal(err)
	}
	defer flushing.Close()

	_, err = mp.Map(ctx, p, flush, slices.Repeat([]*ipc.WaitGroup{flushing}, 5))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flushing.Wait(ctx))
	fmt.Println(flushing.Count())
	// Output:
	// <nil>
	// 0 <nil>
}

type table struct {
	Once    *ipc.Once
	Squares *ipc.Array[int]
	Fills   *ipc.Atomic[int]
	N       int
}

var lookUp = mp.Register("lookUp", func(ctx context.Context, t table) (int, error) {
	err := t.Once.Do(ctx, func() error {
		for i := range t.Squares.Slice() {
			t.Squares.Slice()[i] = i * i
		}
		_, err := t.Fills.Add(1)
		return err
	})
	if err != nil {
		return 0, err
	}
	return t.Squares.Slice()[t.N], nil
})

// The first worker that needs the table fills it for all workers.
func ExampleOnce() {
	p := pool()
	defer p.Close()

	once, err := ipc.NewOnce()
	if err != nil {
		log.Fatal(err)
	}
	defer once.Close()
	squares, err := ipc.NewArray[int](100)
	if err != nil {
		log.Fatal(err)
	}
	defer squares.Close()
	fills, err := ipc.NewAtomic(0)
	if err != nil {
		log.Fatal(err)
	}
	defer fills.Close()

	var tasks []table
	for _, n := range []int{3, 5, 9} {
		tasks = append(tasks, table{once, squares, fills, n})
	}
	fmt.Println(mp.Map(context.Background(), p, lookUp, tasks))
	fmt.Println(fills.Load())
	// Output:
	// [9 25 81] <nil>
	// 1 <nil>
}
