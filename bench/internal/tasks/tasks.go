// Package tasks contains the functions that all measurements run in workers, and a check that
// workers ran them.
package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp"
)

// Workers is the number of workers of every pool and peer.
const Workers = 2

// Square is the trivial task.
var Square = mp.Register("square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// Sum is the computing task.
var Sum = mp.Register("sum", func(_ context.Context, n int) (int, error) { return SumSquares(n), nil })

// SumSquares is Sum's work: n iterations.
//
//go:noinline
func SumSquares(n int) (sum int) {
	for i := range n {
		sum += i * i
	}
	return sum
}

// PID returns the ID of the process in which it runs, after n iterations of work. Unlike report, it
// allocates almost nothing.
var PID = mp.Register("pid", func(_ context.Context, n int) (int, error) {
	if SumSquares(n) < 0 {
		return 0, errors.New("cannot be")
	}
	return os.Getpid(), nil
})

// Usage is how many allocations a worker has made so far.
type Usage struct {
	PID     int
	Mallocs uint64
}

// report runs long enough that no single worker gets all of the tasks.
var report = mp.Register("report", func(_ context.Context, n int) (Usage, error) {
	if SumSquares(n) < 0 {
		return Usage{}, errors.New("cannot be")
	}
	return Usage{os.Getpid(), Mallocs()}, nil
})

// Mallocs returns the number of heap objects that this process has allocated.
func Mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

const (
	reports       = 16      // number of tasks at a time
	reportWork    = 100_000 // iterations
	reportTimeout = 10 * time.Second
)

// Reports returns the reports of a pool's workers in the order in which they arrive. It returns as
// soon as each worker has reported.
func Reports(ctx context.Context, pool *mp.Pool) ([]Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	in := make([]int, reports)
	for i := range in {
		in[i] = reportWork
	}

	var all []Usage
	for {
		answers, err := mp.Map(ctx, pool, report, in, mp.ChunkSize(1))
		if err != nil {
			return nil, fmt.Errorf("waiting for every worker to answer: %w", err)
		}
		if all = append(all, answers...); len(pids(all)) >= Workers {
			return all, nil
		}
	}
}

// Prove checks that the tasks of a pool run in all of its worker processes, and not in this
// process.
func Prove(ctx context.Context, pool *mp.Pool) error {
	all, err := Reports(ctx, pool)
	if err != nil {
		return err
	}
	var want []int
	for _, w := range pool.Workers() {
		want = append(want, w.PID)
	}
	slices.Sort(want)
	got := pids(all)
	if !slices.Equal(got, want) || slices.Contains(got, os.Getpid()) {
		return fmt.Errorf("tasks ran in processes %v, the workers are %v and this is %d", got, want, os.Getpid())
	}
	return nil
}

func pids(all []Usage) []int {
	var p []int
	for _, u := range all {
		p = append(p, u.PID)
	}
	slices.Sort(p)
	return slices.Compact(p)
}

// Ints returns 0, 1, …, n-1.
func Ints(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

// CheckSquares checks the results of Square for Ints.
func CheckSquares(out []int) error {
	for i, v := range out {
		if v != i*i {
			return fmt.Errorf("wrong result: %d squared is not %d", i, v)
		}
	}
	return nil
}
