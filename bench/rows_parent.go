package main

import (
	"context"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
)

// parentCPURow measures how much processor time the process that waits for a Map uses, compared
// with the work in the tasks.
func parentCPURow() row {
	const (
		length = time.Millisecond
		share  = 0.03
	)

	return row{
		name: "parent-cpu", unit: "of the work", better: lower,
		mp: onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
			n := b.size(1500, 100)
			var used time.Duration
			_, err := grainOnce(b, length, n, func(in []int) ([]int, error) {
				used = -processorTime()
				out, err := sumsOn(ctx, pool)(in)
				used += processorTime()
				return out, err
			})
			return float64(used) / float64(time.Duration(n)*length), err
		}),
		peers: []peer{{"limit, 3 % of the work", 1, limit(share)}},
	}
}

// processorTime returns the processor time that this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
