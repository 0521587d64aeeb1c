package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

const (
	memoryWorkers = 3       // a single worker would count the program's text as its own
	memoryWork    = 100_000 // iterations of a task: long enough that no worker takes all tasks
	useAllTimeout = 10 * time.Second
)

// memory starts a pool args[0] times, and measures the private memory, in KiB, of each of its
// workers after the worker has run a task.
func memory(ctx context.Context, args []int) ([]float64, error) {
	var kib []float64
	for range args[0] {
		k, err := memoryOnce(ctx)
		if err != nil {
			return nil, err
		}
		kib = append(kib, k...)
	}
	return kib, nil
}

func memoryOnce(ctx context.Context) ([]float64, error) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: memoryWorkers})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	pids, err := useAll(ctx, pool)
	if err != nil {
		return nil, err
	}

	time.Sleep(rest) // let the workers become idle
	var kib []float64
	for _, pid := range pids {
		k, err := privateMemory(pid)
		if err != nil {
			return nil, err
		}
		kib = append(kib, k)
	}

	return kib, nil
}

// useAll makes every worker run at least one task, and returns the workers' process IDs. Most
// workers run only one task.
func useAll(ctx context.Context, pool *mp.Pool) ([]int, error) {
	ctx, cancel := context.WithTimeout(ctx, useAllTimeout)
	defer cancel()
	in := slices.Repeat([]int{memoryWork}, memoryWorkers)
	var pids []int
	for len(pids) < memoryWorkers {
		ran, err := mp.Map(ctx, pool, tasks.PID, in, mp.ChunkSize(1))
		if err != nil {
			return nil, fmt.Errorf("waiting for every worker to run a task: %w", err)
		}
		pids = append(pids, ran...)
		slices.Sort(pids)
		pids = slices.Compact(pids)
	}

	var workers []int
	for _, w := range pool.Workers() {
		workers = append(workers, w.PID)
	}
	slices.Sort(workers)
	if !slices.Equal(pids, workers) || slices.Contains(pids, os.Getpid()) {
		return nil, fmt.Errorf("tasks ran in processes %v, the workers are %v and this is %d", pids, workers, os.Getpid())
	}

	return pids, nil
}

// privateMemory returns how many KiB of memory a process does not share with any other process.
func privateMemory(pid int) (float64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return sumPrivate(string(rollup))
}

func sumPrivate(rollup string) (float64, error) {
	sum, found := 0, 0
	for line := range strings.Lines(rollup) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "Private_Clean:" && words[0] != "Private_Dirty:" {
			continue
		}
		kib, err := strconv.Atoi(words[1])
		if err != nil {
			return 0, err
		}
		sum += kib
		found++
	}

	if found != 2 {
		return 0, errors.New("smaps_rollup does not tell private memory")
	}

	return float64(sum), nil
}
