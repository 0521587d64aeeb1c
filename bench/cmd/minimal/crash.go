package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// rest is the pause before a pool of one worker is started and before a worker is killed. The
// worker must be idle by then.
const rest = 5 * time.Millisecond

// one measures, args[0] times, the milliseconds from NewPool with one worker to the first result.
func one(ctx context.Context, args []int) ([]float64, error) {
	return repeat(args[0], func() (float64, error) { return oneOnce(ctx) })
}

func oneOnce(ctx context.Context) (float64, error) {
	time.Sleep(rest)
	begin := time.Now()
	pool, err := newOne()
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	pid, err := mp.Call(ctx, pool, tasks.PID, 0)
	took := milliseconds(begin)
	if err != nil {
		return 0, err
	}
	return took, servedBy(pool, pid)
}

// crash measures, args[0] times, the milliseconds from the death of a pool's only worker, which is
// idle, to the first result of its replacement.
func crash(ctx context.Context, args []int) ([]float64, error) {
	pool, err := newOne()
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	worker, err := mp.Call(ctx, pool, tasks.PID, 0)
	if err != nil {
		return nil, err
	}
	if err := servedBy(pool, worker); err != nil {
		return nil, err
	}

	return repeat(args[0], func() (took float64, err error) {
		worker, took, err = crashOnce(ctx, pool, worker)
		return took, err
	})
}

// crashOnce kills the worker whose process ID is victim, and returns the process ID of its
// replacement.
func crashOnce(ctx context.Context, pool *mp.Pool, victim int) (next int, took float64, err error) {
	time.Sleep(rest)
	begin := time.Now()
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return 0, 0, os.NewSyscallError("kill", err)
	}
	next, err = mp.Call(ctx, pool, tasks.PID, 0)
	took = milliseconds(begin)
	if err != nil {
		return 0, 0, err
	}
	if next == victim {
		return 0, 0, fmt.Errorf("process %d has survived its SIGKILL", victim)
	}
	return next, took, servedBy(pool, next)
}

func newOne() (*mp.Pool, error) { return mp.NewPool(mp.PoolConfig{Workers: 1}) }

// servedBy checks that pid, the process in which a task ran, is the pool's only worker, and not
// this process.
func servedBy(pool *mp.Pool, pid int) error {
	workers := pool.Workers()
	if len(workers) != 1 || workers[0].PID != pid || pid == os.Getpid() {
		return fmt.Errorf("a task ran in process %d, the workers are %v and this is %d", pid, workers, os.Getpid())
	}
	return nil
}
