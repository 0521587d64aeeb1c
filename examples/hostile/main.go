// Hostile uses worker processes to scale the pictures below a directory, by default the pictures in
// the tree of the installed Go, and broken copies of these pictures. Among these tasks it runs
// tasks that crash, hang, eat memory and exit. It checks that scaling a picture in a worker gives
// the same result as in this process, and prints how each of the other tasks ended.
//
//	go run ./examples/hostile [DIR]
//
// All tasks belong to one call of [mp.Map]: a hostile task ends only the worker in which it runs,
// and costs one error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

func main() {
	mp.Init() // a worker process scales its pictures in Init, which never returns there

	flag.Usage = func() { fmt.Fprintln(flag.CommandLine.Output(), "usage: hostile [DIR]") }
	flag.Parse()
	if flag.NArg() > 1 {
		flag.Usage()
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, flag.Arg(0))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

// run scales the pictures below dir and writes the report to w. If dir is empty, it uses the
// pictures in Go's own tree. It returns an error if anything is not as expected.
func run(ctx context.Context, w io.Writer, dir string) error {
	if dir == "" {
		var err error
		if dir, err = tree.GoRoot(ctx); err != nil {
			return err
		}
	}
	r, err := survive(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(r.write(w), r.complaint())
}

// survive scales the pictures below dir among hostile tasks.
func survive(ctx context.Context, dir string) (*report, error) {
	pictures, err := readPictures(dir)
	if err != nil {
		return nil, err
	}
	pool, err := mp.NewPool(config)
	if err != nil {
		return nil, err
	}
	defer pool.Close()

	all := mix(append(pictures, brokenCopies(pictures)...), hostileTasks())
	out, err := scale(ctx, pool, all)
	if err != nil {
		return nil, err
	}
	r := newReport(dir, out)
	if len(r.complaints) == 0 {
		r.workers, err = fullStrength(ctx, pool)
	}

	return r, err
}

// config is the only configuration that is needed to survive the tasks of this program.
var config = mp.PoolConfig{
	Timeout: time.Second,
	Limits:  mp.Limits{Memory: memoryLimit, OpenFiles: 64, NoCoreDumps: true},
	// The errors contain the end of each crash report.
	Output: mp.Output{Stderr: io.Discard},
}

// scale runs all tasks, even if some of them fail.
func scale(ctx context.Context, pool *mp.Pool, tasks []task) ([]outcome, error) {
	out := make([]outcome, len(tasks))
	thumbnails, err := mp.Map(ctx, pool, thumbnail, tasks, mp.AllErrors())
	var failed mp.ElementErrors
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i, task := range tasks {
		out[i] = outcome{task: task, Thumbnail: thumbnails[i]}
	}

	for _, e := range failed {
		out[e.Index].err = e.Err
	}

	return out, nil
}

// fullStrength waits until the replacement of the last dead worker is in service, and returns the
// number of workers in the pool.
func fullStrength(ctx context.Context, pool *mp.Pool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := pool.Ready(ctx); err != nil {
		return 0, err
	}
	return pool.Stats().Serving, nil
}
