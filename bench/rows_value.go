package main

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// adding is the argument of a process that adds to a number.
type adding struct {
	Number *ipc.Atomic[int]
	Gate   *ipc.Barrier
	N      int
}

var addOnes = mp.Register("addOnes", func(ctx context.Context, a adding) (stint, error) {
	return timed(ctx, a.Gate, a.N, func(n int) error {
		for range n {
			if _, err := a.Number.Add(1); err != nil {
				return err
			}
		}
		return nil
	})
})

// valueRow measures a number to which two processes add all the time.
func valueRow() row {
	const processes = 2
	return row{
		name: "value", unit: "adds/s", better: higher,
		mp: onProcesses(func(ctx context.Context, b *bench) (float64, error) {
			n := b.size(5_000_000, 500_000)
			took, err := addInProcesses(ctx, processes, n)
			return perSecond(took, processes*n), err
		}),
		peers: []peer{{"Python Value += 1, locked", 100, onPython("", func(b *bench, python *helper) (float64, error) {
			return python.inProcesses(processes, "value %d", b.size(50_000, 5000))
		})}},
	}
}

func addInProcesses(ctx context.Context, processes, n int) (time.Duration, error) {
	var s shop
	defer s.close()
	number, err := ipc.NewAtomic(0)
	number = made(&s, number, err)
	gate, err := ipc.NewBarrier(processes)
	gate = made(&s, gate, err)
	if err := s.err(); err != nil {
		return 0, err
	}
	args := make([]adding, processes)
	for i := range args {
		args[i] = adding{number, gate, n}
	}

	took, err := inProcesses(ctx, addOnes, args...)
	if err != nil {
		return 0, err
	}
	got, err := number.Load()
	if err != nil {
		return 0, err
	}

	return took, counted(got, processes*(n+warmLaps(n)))
}
