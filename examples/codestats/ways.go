package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp"
)

// A way analyzes the files with the given paths and returns their stats in order.
type way struct {
	name string
	run  func(ctx context.Context, paths []string) ([]FileStats, error)
}

var (
	inSequence   = way{"one after the other", runSequential}
	inGoroutines = way{"goroutines", runGoroutines}
	inPool       = way{"pool of processes", runPool}
)

func runSequential(ctx context.Context, paths []string) ([]FileStats, error) {
	stats := make([]FileStats, len(paths))
	for i, path := range paths {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		stats[i] = analyseFile(path)
	}
	return stats, nil
}

func runGoroutines(ctx context.Context, paths []string) ([]FileStats, error) {
	stats := make([]FileStats, len(paths))
	var (
		begun atomic.Int64
		group sync.WaitGroup
	)

	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(begun.Add(1)) - 1
				if i >= len(paths) {
					return
				}
				stats[i] = analyseFile(paths[i])
			}
		})
	}

	group.Wait()
	return stats, context.Cause(ctx)
}

// runPool analyzes the files in a pool. It also starts and ends the pool, so its time is the cost
// for a program that has no pool yet.
func runPool(ctx context.Context, paths []string) ([]FileStats, error) {
	pool, err := mp.NewPool(mp.PoolConfig{})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	return mp.Map(ctx, pool, analyse, paths)
}

// A measurement is the summary of a tree, with the times and the workers' shares.
type measurement struct {
	dir string
	summary
	sequential, goroutines, pool time.Duration
	workers                      []workerShare
}

// measure runs all ways and checks that they agree.
func measure(ctx context.Context, t goTree) (measurement, error) {
	m := measurement{dir: t.dir}
	if err := t.warm(ctx); err != nil {
		return m, err
	}
	stats, elapsed, err := inSequence.timed(ctx, t.paths)
	if err != nil {
		return m, err
	}
	m.summary, m.sequential = summarize(t.names, stats), elapsed

	if stats, m.goroutines, err = inGoroutines.timed(ctx, t.paths); err != nil {
		return m, err
	}
	if err := m.agrees(inGoroutines, summarize(t.names, stats)); err != nil {
		return m, err
	}

	if stats, m.pool, err = inPool.timed(ctx, t.paths); err != nil {
		return m, err
	}
	m.workers = sharesOf(stats)
	return m, m.agrees(inPool, summarize(t.names, stats))
}

// timed runs a way on a heap without the garbage of the previous one.
func (w way) timed(ctx context.Context, paths []string) ([]FileStats, time.Duration, error) {
	runtime.GC()
	begin := time.Now()
	stats, err := w.run(ctx, paths)
	elapsed := time.Since(begin)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", w.name, err)
	}
	return stats, elapsed, nil
}

// agrees returns an error if a way's result differs from the first way's.
func (m measurement) agrees(w way, found summary) error {
	if err := m.equal(found); err != nil {
		return fmt.Errorf("%q and %q disagree (did files change meanwhile?): %w", inSequence.name, w.name, err)
	}
	return nil
}
