package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
	"github.com/go-multiprocessing/mp/ipc"
)

// sum returns the sum of numbers.
//
//go:noinline
func sum(numbers []float64) (s float64) {
	for _, v := range numbers {
		s += v
	}
	return s
}

const distinct = 8 // number of different values, which are whole and small so that sums are exact

// fill writes numbers and returns their sum.
func fill(numbers []float64) (sum float64) {
	for i := range numbers {
		numbers[i] = float64(i % distinct)
		sum += numbers[i]
	}
	return sum
}

func checkSum(got, want float64) error {
	if got != want {
		return fmt.Errorf("the sum is %v instead of %v", got, want)
	}
	return nil
}

// newNumbers makes an Array and fills it.
func newNumbers(n int) (a *ipc.Array[float64], want float64, err error) {
	if a, err = ipc.NewArray[float64](n); err != nil {
		return nil, 0, err
	}
	return a, fill(a.Slice()), nil
}

// summing is the argument of a process that sums all of an Array several times.
type summing struct {
	Array *ipc.Array[float64]
	Times int
}

// sums is the process's result: the sum, and how long each run took.
type sums struct {
	PID   int
	Sum   float64
	Times []float64 // milliseconds
}

var sumTimes = mp.Register("sumTimes", func(_ context.Context, s summing) (sums, error) {
	return sumSeveral(s.Array.Slice(), s.Times), nil
})

// sumSeveral sums once to warm up, and then several times.
func sumSeveral(numbers []float64, times int) sums {
	r := sums{PID: os.Getpid(), Sum: sum(numbers)}
	for range times {
		begin := time.Now()
		if s := sum(numbers); s != r.Sum {
			r.Sum = -1
		}
		r.Times = append(r.Times, milliseconds(time.Since(begin), 1))
	}
	return r
}

// arrayRow compares summing an Array in another process with summing a slice in this one.
func arrayRow() row {
	return row{
		name: "array", unit: "ms", better: lower,
		mp:    onSharedNumbers(arrayNumbers, sumElsewhere),
		peers: []peer{{"a Go slice", 0.95, onSlice(arrayNumbers, sumHere)}},
	}
}

const numbersMiB = 1 << 20 / 8

func arrayNumbers(b *bench) int    { return b.size(10_000_000, 1_000_000) }
func zeroCopyNumbers(b *bench) int { return b.size(64, 16) * numbersMiB }

// sharedRound measures a round on a pool with an Array whose sum is want.
type sharedRound func(ctx context.Context, b *bench, pool *mp.Pool, a *ipc.Array[float64], want float64) (float64, error)

// onSharedNumbers returns an opener for a side whose workers use one Array.
func onSharedNumbers(n func(*bench) int, round sharedRound) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		pool, err := newPool(ctx)
		if err != nil {
			return side{}, err
		}
		a, want, err := newNumbers(n(b))
		if err != nil {
			return side{}, errors.Join(err, pool.Close())
		}
		return side{
			round: func() (float64, error) { return round(ctx, b, pool, a, want) },
			close: func() { _ = pool.Close(); _ = a.Close() },
		}, nil
	}
}

// onSlice returns an opener for a side that uses a slice in this process.
func onSlice(n func(*bench) int, round func(b *bench, numbers []float64, want float64) (float64, error)) opener {
	return func(_ context.Context, b *bench) (side, error) {
		numbers := make([]float64, n(b))
		want := fill(numbers)
		return side{
			round: func() (float64, error) { return round(b, numbers, want) },
			close: func() {},
		}, nil
	}
}

func sumCount(b *bench) int { return b.size(7, 2) }

func sumElsewhere(ctx context.Context, b *bench, pool *mp.Pool, a *ipc.Array[float64], want float64) (float64, error) {
	r, err := mp.Call(ctx, pool, sumTimes, summing{a, sumCount(b)})
	if err != nil {
		return 0, err
	}
	if err := inPool(pool, r.PID); err != nil {
		return 0, err
	}
	return median(r.Times), checkSum(r.Sum, want)
}

func sumHere(b *bench, numbers []float64, want float64) (float64, error) {
	r := sumSeveral(numbers, sumCount(b))
	return median(r.Times), checkSum(r.Sum, want)
}

// inPool checks that pid is the ID of a worker.
func inPool(pool *mp.Pool, pid int) error {
	if !slices.ContainsFunc(pool.Workers(), func(w mp.WorkerInfo) bool { return w.PID == pid }) || pid == os.Getpid() {
		return fmt.Errorf("a task ran in process %d, the workers are %v and this is %d", pid, pool.Workers(), os.Getpid())
	}
	return nil
}

// part is a part of an Array.
type part struct {
	Array  *ipc.Array[float64]
	Lo, Hi int
}

// partSum is the sum of a part.
type partSum struct {
	PID int
	Sum float64
}

var sumPart = mp.Register("sumPart", func(_ context.Context, p part) (partSum, error) {
	return partSum{os.Getpid(), sum(p.Array.Slice()[p.Lo:p.Hi])}, nil
})

// zeroCopyRow compares tasks that get an Array with goroutines that use a slice.
func zeroCopyRow() row {
	return row{
		name: "zero-copy", unit: "ms", better: lower,
		mp:    onSharedNumbers(zeroCopyNumbers, sumOnPool),
		peers: []peer{{"2 goroutines, a Go slice", 0.8, onSlice(zeroCopyNumbers, sumOnTwo)}},
	}
}

// zeroCopyCount is how many sums a round takes.
func zeroCopyCount(b *bench) int { return b.size(20, 3) }

func sumOnPool(ctx context.Context, b *bench, pool *mp.Pool, a *ipc.Array[float64], want float64) (float64, error) {
	var parts []part
	for i := range tasks.Workers {
		parts = append(parts, part{a, a.Len() * i / tasks.Workers, a.Len() * (i + 1) / tasks.Workers})
	}

	used := map[int]bool{}
	took, err := sumRounds(b, want, func() (total float64, err error) {
		all, err := mp.Map(ctx, pool, sumPart, parts, mp.ChunkSize(1))
		for _, s := range all {
			total += s.Sum
			used[s.PID] = true
		}
		return total, err
	})
	if err != nil {
		return 0, err
	}
	for pid := range used {
		if err := inPool(pool, pid); err != nil {
			return 0, err
		}
	}
	if len(used) != tasks.Workers {
		return 0, fmt.Errorf("%d of the workers were used", len(used))
	}

	return took, nil
}

func sumOnTwo(b *bench, numbers []float64, want float64) (float64, error) {
	return sumRounds(b, want, func() (total float64, err error) {
		var part [tasks.Workers]float64
		var all sync.WaitGroup
		for i := range part {
			lo, hi := len(numbers)*i/len(part), len(numbers)*(i+1)/len(part)
			all.Go(func() { part[i] = sum(numbers[lo:hi]) })
		}
		all.Wait()
		for _, s := range part {
			total += s
		}
		return total, nil
	})
}

// sumRounds computes several sums and returns the milliseconds that each took. It first computes
// some to warm up, since each worker may have to map the memory.
func sumRounds(b *bench, want float64, total func() (float64, error)) (float64, error) {
	const warm = 3
	n := zeroCopyCount(b)
	var begin time.Time
	for i := range warm + n {
		if i == warm {
			begin = time.Now()
		}
		got, err := total()
		if err == nil {
			err = checkSum(got, want)
		}
		if err != nil {
			return 0, err
		}
	}

	return milliseconds(time.Since(begin), n), nil
}
