package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

const (
	fullRounds  = 9
	quickRounds = 3
)

// A bench is the state that all rows share.
type bench struct {
	quick  bool
	rounds int
	stderr io.Writer
	dir    string // for built programs and other files
	build  func() error
	buildC func() (program string, err error)

	calibrate func() workload // makes the workload of row cpu; runs once
}

func newBench(quick bool, stderr io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "mp-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{quick: quick, rounds: fullRounds, stderr: stderr, dir: dir}
	if quick {
		b.rounds = quickRounds
	}
	b.calibrate = sync.OnceValue(func() workload {
		return calibrateWork(time.Duration(b.size(200, 10)) * time.Millisecond)
	})
	b.build = sync.OnceValue(b.buildCommands)
	b.buildC = sync.OnceValues(b.compileC)
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// size returns the amount of work in a round.
func (b *bench) size(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

// small starts one of the small programs in cmd.
func (b *bench) small(ctx context.Context, name string) (*helper, error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	return startHelper(ctx, filepath.Join(b.dir, name))
}

func (b *bench) buildCommands() error {
	const here = "github.com/go-multiprocessing/mp/bench/cmd/"
	cmd := exec.Command("go", "build", "-o", b.dir, here+"minimal", here+"managed", here+"hello")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w; run this as: go -C bench run .\n%s", cmd, err, out)
	}
	return nil
}

// newPool starts a pool of the kind that the rows use, and checks that its tasks run in other
// processes.
func newPool(ctx context.Context) (*mp.Pool, error) {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: tasks.Workers})
	if err != nil {
		return nil, err
	}
	if err := tasks.Prove(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// A poolRound measures a round on a pool.
type poolRound func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error)

// onPool returns an opener for a side that is measured on a pool.
func onPool(round poolRound) opener { return onPoolOf(newPool, round) }

func onPoolOf(start func(ctx context.Context) (*mp.Pool, error), round poolRound) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		pool, err := start(ctx)
		if err != nil {
			return side{}, err
		}
		return side{
			round: func() (float64, error) { return round(ctx, b, pool) },
			close: func() { _ = pool.Close() },
		}, nil
	}
}
