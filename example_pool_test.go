//go:build linux

package mp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
)

// A pool replaces its workers before a library that leaks has used too much memory.
func ExampleRecycle() {
	p, err := mp.NewPool(mp.PoolConfig{
		Workers: 1,
		Recycle: mp.Recycle{Tasks: 10, Memory: 1 << 30, Idle: time.Minute},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	pids, err := mp.Map(context.Background(), p, getpid, make([]int, 30))
	fmt.Println(len(slices.Compact(pids)), "workers for 30 tasks,", err)
	// Output: 3 workers for 30 tasks, <nil>
}

// A spare worker has done its setup before it is needed.
func ExamplePool_Ready() {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 2, Spares: 1, Setup: loadModel.With([]int{0, 1, 4})})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()
	if err := p.Ready(ctx); err != nil { // reports a setup that fails
		log.Fatal(err)
	}
	fmt.Println(p.Stats().Serving)
	fmt.Println(mp.Call(ctx, p, consult, 2))
	// Output:
	// 2
	// 4 <nil>
}

func ExamplePool_Resize() {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()
	for _, n := range []int{3, 2} {
		if err := errors.Join(p.Resize(n), p.Ready(ctx)); err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.Stats().Workers)
	}
	// Output:
	// 3
	// 2
}

func ExampleRestart() {
	p, err := mp.NewPool(mp.PoolConfig{
		Workers: 1,
		Setup:   setup.With(setupArg{Fail: "no license"}),
		Restart: mp.Restart{Attempts: 2, Backoff: time.Millisecond},
		Output:  mp.Output{Logger: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	_, err = mp.Call(context.Background(), p, upper, "a task")
	var start *mp.StartError
	fmt.Println(errors.As(err, &start))
	// Output: true
}

// A process that a task leaves behind dies with the worker, even if it is a daemon.
func ExampleContainment() {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 1, RequireContainment: mp.ContainSubreaper})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Stats().Containment)

	pid, err := mp.Call(context.Background(), p, leaveDaemon, struct{}{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("it runs:", syscall.Kill(pid, 0) == nil)
	_ = p.Close()
	fmt.Println("it runs:", syscall.Kill(pid, 0) == nil)
	// Output:
	// subreaper
	// it runs: true
	// it runs: false
}

var leaveDaemon = mp.Register("leaveDaemon", func(context.Context, struct{}) (int, error) {
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := c.Start()
	if err != nil {
		return 0, err
	}
	return c.Process.Pid, nil
})

// Stats reports what has happened to the workers, and what enforces their limits on this system.
func ExamplePool_Stats() {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 1, Limits: mp.Limits{OpenFiles: 100}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()
	_, _ = mp.Call(ctx, p, crash, 3)
	fmt.Println(mp.Call(ctx, p, upper, "on"))
	s := p.Stats()
	fmt.Println(s.Started, "started,", s.Died, "died, open files by", s.Enforced.OpenFiles)
	// Output:
	// ON <nil>
	// 2 started, 1 died, open files by RLIMIT_NOFILE
}

// Stats also reports what each worker has done, and how long it took.
func ExamplePool_Stats_workers() {
	p, err := mp.NewPool(mp.PoolConfig{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	if _, err := mp.Map(context.Background(), p, upper, []string{"a", "b", "c"}); err != nil {
		log.Fatal(err)
	}

	s := p.Stats() // fmt.Println(s) prints all of it
	for _, w := range s.PerWorker {
		fmt.Println("worker", w.Worker, w.State, "has done", w.Done, "tasks")
	}
	for _, f := range s.Functions {
		fmt.Println(f.Func == upper.Name(), f.Done)
	}
	// Output:
	// worker 1 idle has done 3 tasks
	// true 3
}
