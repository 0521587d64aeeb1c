package main

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

const mapElements = 100_000

// mapRow measures a Map of many trivial tasks.
func mapRow() row {
	return row{
		name: "map", unit: "ms", better: lower,
		mp: onPool(mapWith()),
		peers: []peer{
			{"Python Pool.map", 5, onPython(pythonPool, func(b *bench, python *helper) (float64, error) {
				return python.median("map %d %d", mapElements, mapTimes(b))
			})},
			{"2 goroutines, channels of 128", 2, onGoroutines(func(b *bench) (float64, error) {
				return mapOnce(b, unfailing(overChannels(square)))
			})},
			{"2 goroutines, chunks", 0, onGoroutines(func(b *bench) (float64, error) {
				return mapOnce(b, unfailing(squaresInMemory))
			})},
		},
	}
}

// mapWith measures mp's Map with options.
func mapWith(opts ...mp.MapOption) poolRound {
	return func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
		return mapOnce(b, func(in []int) ([]int, error) { return mp.Map(ctx, pool, tasks.Square, in, opts...) })
	}
}

// deadlineRow compares a Map whose tasks have a timeout with a Map whose tasks have none.
func deadlineRow() row {
	return row{
		name: "deadline", unit: "ms", better: lower,
		mp:    onPool(severalTimes(mapWith(mp.Timeout(time.Minute)))),
		peers: []peer{{"Map without a timeout", 0.9, onPool(severalTimes(mapWith()))}},
	}
}

// severalTimes makes a round of several rounds and returns the median of their figures. It is for
// sides that hardly differ.
func severalTimes(round poolRound) poolRound {
	return func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
		figures := make([]float64, b.size(7, 1))
		for i := range figures {
			var err error
			if figures[i], err = round(ctx, b, pool); err != nil {
				return 0, err
			}
		}
		return median(figures), nil
	}
}

func unfailing(f func([]int) []int) func([]int) ([]int, error) {
	return func(in []int) ([]int, error) { return f(in), nil }
}

// mapTimes is the number of maps in a round.
func mapTimes(b *bench) int { return b.size(20, 2) }

// mapOnce makes several maps and returns the milliseconds that each took.
func mapOnce(b *bench, squares func([]int) ([]int, error)) (float64, error) {
	in := tasks.Ints(mapElements)
	if _, err := squares(in); err != nil {
		return 0, err
	}
	outs := make([][]int, mapTimes(b))
	var err error
	begin := time.Now()
	for i := range outs {
		if outs[i], err = squares(in); err != nil {
			return 0, err
		}
	}

	took := time.Since(begin)
	for _, out := range outs {
		if err := tasks.CheckSquares(out); err != nil {
			return 0, err
		}
	}

	return milliseconds(took, len(outs)), nil
}
