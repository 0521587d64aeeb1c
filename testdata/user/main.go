// User starts workers and then changes its own user, or its workers' Setup changes theirs. Killing
// the workers is then refused, or the parent-death signal is forgotten. The argument selects the
// case. The program needs root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
)

const nobody = 65534

var loop = mp.Register("loop", func(context.Context, int) (int, error) { select {} })

var double = mp.Register("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })

var who = mp.Register("who", func(context.Context, int) (string, error) {
	return fmt.Sprint(os.Getpid(), " ", os.Getpid()), nil
})

// away temporarily runs as another user.
var away = mp.Register("away", func(context.Context, int) (int, error) {
	return 0, errors.Join(syscall.Seteuid(nobody), syscall.Seteuid(0))
})

var change = mp.Register("change", func(context.Context, int) (int, error) { return 0, syscall.Setuid(nobody) })

func main() {
	mp.Init()
	var err error
	switch os.Args[1] {
	case "host":
		err = host()
	case "setup":
		err = setup()
	case "orphan":
		err = orphan(change.With(0))
	case "away":
		err = orphan(away.With(0))
	}

	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// host changes the user of this process.
func host() error {
	ctx := context.Background()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 3})
	if err != nil {
		return err
	}
	if err := pool.Ready(ctx); err != nil {
		return err
	}

	other, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		return err
	}
	if err := other.Ready(ctx); err != nil {
		return err
	}

	process, err := mp.NewProcess(loop, 0, mp.ProcessConfig{})
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	if err := syscall.Setuid(nobody); err != nil {
		return err
	}
	if err := process.Kill(); err != nil {
		return fmt.Errorf("Kill: %w", err)
	}
	if _, err := process.Wait(ctx); !isDead(err) {
		return fmt.Errorf("Wait: %w", err)
	}
	if err := tasks(ctx, pool); err != nil {
		return err
	}
	if err := pool.Resize(1); err != nil {
		return err
	}

	late := mp.Submit(ctx, other, loop, 0, mp.Timeout(time.Second))
	if err := other.Shutdown(ctx); err != nil {
		return err
	}
	if _, err := late.Result(ctx); !isDead(err) {
		return fmt.Errorf("what Shutdown waited for: %w", err)
	}
	return pool.Close()
}

// setup changes the user of workers.
func setup() error {
	ctx := context.Background()
	for _, recycle := range []mp.Recycle{{}, {Tasks: 1}} {
		pool, err := mp.NewPool(mp.PoolConfig{Workers: 2, Setup: change.With(0), Recycle: recycle})
		if err != nil {
			return err
		}
		if err := tasks(ctx, pool); err != nil {
			return err
		}
		if err := pool.Close(); err != nil {
			return err
		}
	}
	return nil
}

// tasks kills a worker by a deadline, and then runs other tasks.
func tasks(ctx context.Context, pool *mp.Pool) error {
	if _, err := mp.Call(ctx, pool, loop, 0, mp.Timeout(100*time.Millisecond)); !isDead(err) {
		return fmt.Errorf("Call: %w", err)
	}
	all, err := mp.Map(ctx, pool, double, []int{1, 2, 3, 4})
	if err == nil && fmt.Sprint(all) != "[2 4 6 8]" {
		err = fmt.Errorf("Map: %v", all)
	}
	return err
}

func isDead(err error) bool {
	var dead *mp.WorkerError
	return errors.As(err, &dead)
}

// orphan prints the process IDs of workers and waits to be killed.
func orphan(setup mp.Task) error {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 1, Setup: setup})
	if err != nil {
		return err
	}
	pid, err := mp.Call(context.Background(), pool, who, 0)
	if err != nil {
		return err
	}
	fmt.Printf("%s\nready\n", pid)
	select {}
}
