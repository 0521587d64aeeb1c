package main

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// maps calls Map args[1] times on one pool, with args[0] elements each time. It measures nothing,
// since its costs are counted from outside.
func maps(ctx context.Context, args []int) ([]float64, error) {
	elements, count := args[0], args[1]
	pool, err := mp.NewPool(mp.PoolConfig{Workers: tasks.Workers})
	if err != nil {
		return nil, err
	}

	if err := tasks.Prove(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	in := tasks.Ints(elements)
	for range count {
		out, err := mp.Map(ctx, pool, tasks.Square, in)
		if err == nil {
			err = tasks.CheckSquares(out)
		}
		if err != nil {
			return nil, errors.Join(err, pool.Close())
		}
	}

	return nil, pool.Close()
}
