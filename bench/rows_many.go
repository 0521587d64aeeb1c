package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

const manyWorkers = 200

// workers200Row measures a Map of trivial tasks on far more workers than processors.
func workers200Row() row {
	return row{
		name: "workers-200", unit: "ms", better: lower,
		mp:    onPoolOf(newLargePool, mapWith()),
		peers: []peer{{"a pool of 2", 0.5, onPool(mapWith())}},
	}
}

// newLargePool starts a pool, waits for all its workers, and checks that tasks run in them.
func newLargePool(ctx context.Context) (*mp.Pool, error) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: manyWorkers})
	if err != nil {
		return nil, err
	}
	err = pool.Ready(ctx)
	var ran []int
	if err == nil {
		ran, err = mp.Map(ctx, pool, tasks.PID, make([]int, manyWorkers))
	}
	if n := len(pool.Workers()); err == nil && (n != manyWorkers || slices.Contains(ran, os.Getpid())) {
		err = fmt.Errorf("%d workers, and tasks ran in processes %v of which this is one", n, ran)
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}

	return pool, nil
}
