package main

import (
	"context"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// streamRow measures many trivial tasks through an unordered stream, until the last result.
func streamRow() row {
	return row{
		name: "stream", unit: "us/element", better: lower,
		mp: onPool(streamOnce),
		peers: []peer{{"Python imap_unordered", 60, onPython(pythonPool, func(b *bench, python *helper) (float64, error) {
			return python.median("imap %d %d", b.size(1000, 100), b.size(10_000, 3000))
		})}},
	}
}

func streamOnce(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
	n := b.size(100_000, 50_000)
	if _, _, err := stream(ctx, pool, n/10); err != nil {
		return 0, err
	}
	out, took, err := stream(ctx, pool, n)
	if err != nil {
		return 0, err
	}
	return microseconds(took, n), tasks.CheckSquares(out)
}

func stream(ctx context.Context, pool *mp.Pool, n int) (out []int, took time.Duration, err error) {
	in, out := tasks.Ints(n), make([]int, n)
	begin := time.Now()
	for r, err := range mp.StreamUnordered(ctx, pool, tasks.Square, slices.Values(in)) {
		if err != nil {
			return nil, 0, err
		}
		out[r.Index] = r.Value
	}
	return out, time.Since(begin), nil
}

// submitRow measures many futures. It keeps them all before it reads the first result.
func submitRow() row {
	return row{
		name: "submit", unit: "us/element", better: lower,
		mp: onPool(submitOnce),
		peers: []peer{{"go-plugin net/rpc, 16 callers", 20, onPlugin(func(b *bench, square func(int) (int, error)) (float64, error) {
			rate, err := callTogether(b, square)
			return 1e6 / rate, err
		})}},
	}
}

func submitOnce(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
	n := b.size(100_000, 20_000)
	if _, _, err := submit(ctx, pool, n/10); err != nil {
		return 0, err
	}
	out, took, err := submit(ctx, pool, n)
	if err != nil {
		return 0, err
	}
	return microseconds(took, n), tasks.CheckSquares(out)
}

func submit(ctx context.Context, pool *mp.Pool, n int) (out []int, took time.Duration, err error) {
	futures, out := make([]*mp.Future[int], n), make([]int, n)
	begin := time.Now()
	for i := range futures {
		futures[i] = mp.Submit(ctx, pool, tasks.Square, i)
	}
	for i, f := range futures {
		if out[i], err = f.Result(ctx); err != nil {
			return nil, 0, err
		}
	}
	return out, time.Since(begin), nil
}
