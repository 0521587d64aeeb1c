package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// counting is the argument of a process that counts under a lock.
type counting struct {
	Lock  *ipc.Mutex
	Gate  *ipc.Barrier
	Count *ipc.Array[int]
	N     int
}

var countLocked = mp.Register("countLocked", func(ctx context.Context, c counting) (stint, error) {
	count := c.Count.Slice()
	return timed(ctx, c.Gate, c.N, func(n int) error {
		for range n {
			if err := c.Lock.Lock(ctx); err != nil {
				return err
			}
			count[0]++
			if err := c.Lock.Unlock(); err != nil {
				return err
			}
		}
		return nil
	})
})

// mutexRow measures an uncontended lock.
func mutexRow() row {
	const processes = 1
	return row{
		name: "mutex", unit: "ns", better: lower,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(5_000_000, 500_000)
			took, err := countInProcesses(ctx, processes, n)
			return nanoseconds(took, n), err
		}),
		peers: []peer{
			{"Python Lock", 5, onPython("", func(b *bench, python *helper) (float64, error) {
				return python.inProcesses(processes, "lock %d", b.size(1_000_000, 100_000))
			})},
			{"C robust shared pthread mutex", 0.6, onC(func(b *bench, c *helper) (float64, error) {
				return c.inProcesses(processes, "mutex %d", b.size(5_000_000, 500_000))
			})},
		},
	}
}

// mutex2Row measures a lock that two processes want all the time.
func mutex2Row() row {
	const processes = 2
	return row{
		name: "mutex-2", unit: "pairs/s", better: higher,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(2_000_000, 100_000)
			took, err := countInProcesses(ctx, processes, n)
			return perSecond(took, processes*n), err
		}),
		peers: []peer{
			{"Python Lock", 10, onPython("", func(b *bench, python *helper) (float64, error) {
				return python.inProcesses(processes, "lock-2 %d", b.size(200_000, 20_000))
			})},
			{"C robust shared pthread mutex", 0.3, onC(func(b *bench, c *helper) (float64, error) {
				return c.inProcesses(processes, "mutex-2 %d", b.size(2_000_000, 100_000))
			})},
		},
	}
}

// countInProcesses makes several processes count under one lock, each to n.
func countInProcesses(ctx context.Context, processes, n int) (time.Duration, error) {
	var s shop
	defer s.close()
	lock, err := ipc.NewMutex()
	lock = made(&s, lock, err)
	gate, err := ipc.NewBarrier(processes)
	gate = made(&s, gate, err)
	count, err := ipc.NewArray[int](1)
	count = made(&s, count, err)
	if err := s.err(); err != nil {
		return 0, err
	}
	args := make([]counting, processes)
	for i := range args {
		args[i] = counting{lock, gate, count, n}
	}

	took, err := inProcesses(ctx, countLocked, args...)
	if err != nil {
		return 0, err
	}

	return took, counted(count.Slice()[0], processes*(n+warmLaps(n)))
}

func counted(got, want int) error {
	if got != want {
		return fmt.Errorf("counted to %d instead of %d", got, want)
	}
	return nil
}

const (
	rwProcesses  = 2
	rwGoroutines = 4  // in each
	rwWriteEach  = 20 // laps per write; the others read
	rwTable      = 64 // elements that are read and written
)

// reading is the argument of a process that usually reads a table and rarely writes it.
type reading struct {
	RW    *ipc.RWMutex
	Lock  *ipc.Mutex
	Plain bool // use Lock instead of RW
	Gate  *ipc.Barrier
	Table *ipc.Array[int]
	N     int
}

// rwLocker is implemented by RWMutex, and by a wrapper of Mutex.
type rwLocker interface {
	Lock(context.Context) error
	Unlock() error
	RLock(context.Context) error
	RUnlock() error
}

type plainLock struct{ *ipc.Mutex }

func (l plainLock) RLock(ctx context.Context) error { return l.Lock(ctx) }
func (l plainLock) RUnlock() error                  { return l.Unlock() }

var readMostly = mp.Register("readMostly", func(ctx context.Context, r reading) (stint, error) {
	var lock rwLocker = r.RW
	if r.Plain {
		lock = plainLock{r.Lock}
	}

	table := r.Table.Slice()
	return timed(ctx, r.Gate, r.N, func(n int) error {
		var failed [rwGoroutines]error
		var all sync.WaitGroup
		for g := range failed {
			all.Go(func() { failed[g] = readAndWrite(ctx, lock, table, n) })
		}
		all.Wait()
		for _, err := range failed {
			if err != nil {
				return err
			}
		}

		return nil
	})
})

// readAndWrite does n laps. All elements of the table are equal whenever no process writes.
func readAndWrite(ctx context.Context, lock rwLocker, table []int, n int) error {
	for i := range n {
		if i%rwWriteEach == 0 {
			if err := lock.Lock(ctx); err != nil {
				return err
			}
			for j := range table {
				table[j]++
			}
			if err := lock.Unlock(); err != nil {
				return err
			}
			continue
		}

		if err := lock.RLock(ctx); err != nil {
			return err
		}
		equal := allEqual(table)
		if err := lock.RUnlock(); err != nil {
			return err
		}
		if !equal {
			return fmt.Errorf("read while somebody wrote: %v", table)
		}
	}

	return nil
}

func allEqual(table []int) bool {
	for _, v := range table {
		if v != table[0] {
			return false
		}
	}
	return true
}

// rwMutexRow compares an RWMutex whose users are mostly readers with a Mutex.
func rwMutexRow() row {
	return row{
		name: "rwmutex", unit: "ops/s", better: higher,
		mp:    onProcesses(readingWith(false)),
		peers: []peer{{"mp's Mutex in its place", 1, onProcesses(readingWith(true))}},
	}
}

func readingWith(plain bool) func(ctx context.Context, b *bench) (float64, error) {
	return func(ctx context.Context, b *bench) (float64, error) {
		n := b.size(400_000, 5000) / rwWriteEach * rwWriteEach
		took, err := readInProcesses(ctx, plain, n)
		return perSecond(took, rwProcesses*rwGoroutines*n), err
	}
}

func readInProcesses(ctx context.Context, plain bool, n int) (time.Duration, error) {
	var s shop
	defer s.close()
	rw, err := ipc.NewRWMutex()
	rw = made(&s, rw, err)
	lock, err := ipc.NewMutex()
	lock = made(&s, lock, err)
	gate, err := ipc.NewBarrier(rwProcesses)
	gate = made(&s, gate, err)
	table, err := ipc.NewArray[int](rwTable)
	table = made(&s, table, err)
	if err := s.err(); err != nil {
		return 0, err
	}
	args := make([]reading, rwProcesses)
	for i := range args {
		args[i] = reading{rw, lock, plain, gate, table, n}
	}

	took, err := inProcesses(ctx, readMostly, args...)
	if err != nil {
		return 0, err
	}
	writes := func(n int) int { return (n + rwWriteEach - 1) / rwWriteEach }
	want := rwProcesses * rwGoroutines * (writes(n) + writes(warmLaps(n)))
	if !allEqual(table.Slice()) {
		return 0, fmt.Errorf("left half written: %v", table.Slice())
	}

	return took, counted(table.Slice()[0], want)
}
