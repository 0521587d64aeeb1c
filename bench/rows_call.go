package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

const callers = 16 // of row call-16 and of the peer of submit

// callRow measures a trivial call by a single caller on an idle pool.
func callRow() row {
	return row{
		name: "call", unit: "us", better: lower,
		mp: onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
			return callOnce(b, squareOn(ctx, pool))
		}),
		peers: []peer{
			{"Python Pool.apply", 12, onPython(pythonPool, func(b *bench, python *helper) (float64, error) {
				return python.median("apply %d %d", callWarm(b), callCount(b))
			})},
			{"go-plugin net/rpc", 6, onPlugin(callOnce)},
			{"gVisor flipcall", 0.5, onFlipcall(callOnce)},
		},
	}
}

func squareOn(ctx context.Context, pool *mp.Pool) func(int) (int, error) {
	return func(n int) (int, error) { return mp.Call(ctx, pool, tasks.Square, n) }
}

func callWarm(b *bench) int  { return b.size(2000, 50) }
func callCount(b *bench) int { return b.size(20_000, 300) }

// callOnce makes many calls and returns the microseconds that each took.
func callOnce(b *bench, square func(int) (int, error)) (float64, error) {
	if _, _, err := calls(callWarm(b), square); err != nil {
		return 0, err
	}
	n := callCount(b)
	out, took, err := calls(n, square)
	if err != nil {
		return 0, err
	}
	return microseconds(took, n), tasks.CheckSquares(out)
}

// calls makes n calls, one after another.
func calls(n int, square func(int) (int, error)) (out []int, took time.Duration, err error) {
	out = make([]int, n)
	begin := time.Now()
	for i := range out {
		if out[i], err = square(i); err != nil {
			return nil, 0, err
		}
	}
	return out, time.Since(begin), nil
}

// call16Row measures trivial calls from 16 goroutines.
func call16Row() row {
	return row{
		name: "call-16", unit: "calls/s", better: higher,
		mp: onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
			return callTogether(b, squareOn(ctx, pool))
		}),
		peers: []peer{{"go-plugin net/rpc, 16 callers", 5, onPlugin(callTogether)}},
	}
}

// callTogether returns the number of calls per second.
func callTogether(b *bench, square func(int) (int, error)) (float64, error) {
	if _, _, err := concurrentCalls(callWarm(b), square); err != nil {
		return 0, err
	}
	n := b.size(40_000, 4000)
	out, took, err := concurrentCalls(n, square)
	if err != nil {
		return 0, err
	}
	return float64(n) / took.Seconds(), tasks.CheckSquares(out)
}

// concurrentCalls makes n calls. Each call is made by the next free caller.
func concurrentCalls(n int, square func(int) (int, error)) (out []int, took time.Duration, err error) {
	out = make([]int, n)
	failed := make([]error, callers)
	var next atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for c := range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed[c] == nil; i = int(next.Add(1)) - 1 {
				out[i], failed[c] = square(i)
			}
		})
	}

	all.Wait()
	took = time.Since(begin)
	for _, err := range failed {
		if err != nil {
			return nil, 0, err
		}
	}

	return out, took, nil
}

// microseconds returns the mean time of n operations that took the given time together.
func microseconds(took time.Duration, n int) float64 { return took.Seconds() * 1e6 / float64(n) }

// milliseconds returns the mean time of n operations that took the given time together.
func milliseconds(took time.Duration, n int) float64 { return took.Seconds() * 1e3 / float64(n) }
