package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// start measures, args[0] times, the milliseconds from NewPool to the first result.
func start(ctx context.Context, args []int) ([]float64, error) {
	return repeat(args[0], func() (float64, error) { return startOne(ctx) })
}

// repeat calls once the given number of times and returns the figures.
func repeat(times int, once func() (float64, error)) ([]float64, error) {
	var figures []float64
	for range times {
		v, err := once()
		if err != nil {
			return nil, err
		}
		figures = append(figures, v)
	}
	return figures, nil
}

func startOne(ctx context.Context) (float64, error) {
	begin := time.Now()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: tasks.Workers})
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	const n = 7
	v, err := mp.Call(ctx, pool, tasks.Square, n)
	took := milliseconds(begin)
	if err != nil {
		return 0, err
	}
	if v != n*n {
		return 0, fmt.Errorf("wrong result: %d", v)
	}

	return took, tasks.Prove(ctx, pool)
}

// hello measures, args[0] times, the milliseconds it takes to start as many hello programs as a
// pool has workers and to get the first byte from each of them.
func hello(_ context.Context, args []int) ([]float64, error) {
	program := filepath.Join(filepath.Dir(os.Args[0]), "hello")
	return repeat(args[0], func() (float64, error) { return helloOnce(program) })
}

func helloOnce(program string) (float64, error) {
	var greeters [tasks.Workers]greeter
	begin := time.Now()
	for i := range greeters {
		if err := greeters[i].start(program); err != nil {
			return 0, err
		}
	}

	for i := range greeters {
		if err := greeters[i].hear(); err != nil {
			return 0, err
		}
	}
	took := milliseconds(begin)
	for i := range greeters {
		if err := greeters[i].check(); err != nil {
			return 0, err
		}
	}

	return took, nil
}

// A greeter is a running hello program.
type greeter struct {
	process *os.Process
	out     *os.File
	said    [32]byte
	n       int
}

func (g *greeter) start(program string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	g.out = r
	g.process, err = os.StartProcess(program, []string{program}, &os.ProcAttr{
		Files: []*os.File{nil, w, os.Stderr},
	})
	return err
}

func (g *greeter) hear() (err error) {
	g.n, err = g.out.Read(g.said[:])
	return err
}

func (g *greeter) check() error {
	defer g.out.Close()
	if _, err := g.process.Wait(); err != nil {
		return err
	}
	if said := strings.TrimSpace(string(g.said[:g.n])); said != strconv.Itoa(g.process.Pid) {
		return fmt.Errorf("process %d said %q", g.process.Pid, said)
	}
	return nil
}

func milliseconds(since time.Time) float64 { return time.Since(since).Seconds() * 1e3 }
