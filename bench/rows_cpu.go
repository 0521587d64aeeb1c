package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

const cpuTasks = 8

// cpuRow measures a few long tasks, which should use both processors fully.
func cpuRow() row {
	return row{
		name: "cpu", unit: "ms", better: lower,
		mp: onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
			return cpuOnce(b, func(in []int) ([]int, error) { return mp.Map(ctx, pool, tasks.Sum, in) })
		}),
		peers: []peer{{"2 goroutines", 0.98, onGoroutines(func(b *bench) (float64, error) {
			return cpuOnce(b, unfailing(sumsOnGoroutines))
		})}},
	}
}

// cpuOnce returns the milliseconds that all tasks take together.
func cpuOnce(b *bench, sums func([]int) ([]int, error)) (float64, error) {
	work := b.calibrate()
	in := make([]int, cpuTasks)
	for i := range in {
		in[i] = work.iterations
	}

	if _, err := sums([]int{1000, 1000}); err != nil {
		return 0, err
	}
	begin := time.Now()
	out, err := sums(in)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	for _, v := range out {
		if v != work.sum {
			return 0, fmt.Errorf("wrong result: %d instead of %d", v, work.sum)
		}
	}

	return milliseconds(took, 1), nil
}

// workload is a task of known length.
type workload struct {
	iterations, sum int
	took            time.Duration // at best
}

// iterationsOf returns how many iterations take d.
func (w workload) iterationsOf(d time.Duration) int {
	return max(1, int(float64(w.iterations)*float64(d)/float64(w.took)))
}

// calibrateWork finds a number of iterations for which the work takes at least the given time. It
// uses the fastest of several runs, since the machine may have been busy with other work during the
// others.
func calibrateWork(least time.Duration) workload {
	const (
		runs   = 3
		margin = 1.1
	)

	n := 1 << 20
	for {
		var sum int
		fastest := time.Hour
		for range runs {
			begin := time.Now()
			sum = tasks.SumSquares(n)
			fastest = min(fastest, time.Since(begin))
		}
		if fastest >= least {
			return workload{n, sum, fastest}
		}
		n = int(margin * float64(n) * min(10, float64(least)/float64(fastest)))
	}
}
