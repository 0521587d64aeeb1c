// Wordcount counts the words in the Go files below a directory, by default the source of the
// installed Go. Worker processes share what changes all the time, in a manager: the
// directories that are still to be visited, the texts that have been seen, of which copies are
// not counted twice, and the counts.
//
//	go run ./examples/wordcount [-workers N] [DIR]
//
// Nobody knows the tree before: who visits a directory puts those below it on the list, and the
// job is done when all have been dealt with. In the end all is counted once more in this
// process, and compared.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

func main() {
	mp.Init() // a worker process visits directories in here and never returns, and so does the manager

	workers := flag.Int("workers", mp.NumCPU(), "how many worker processes there are")
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() > 1 || *workers < 1 {
		usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, flag.Arg(0), *workers)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "usage: wordcount [-workers N] [DIR]")
	flag.PrintDefaults()
}

// run does the job, checks it, and writes the report to w.
func run(ctx context.Context, w io.Writer, dir string, workers int) error {
	if dir == "" {
		root, err := tree.GoRoot(ctx)
		if err != nil {
			return err
		}
		dir = filepath.Join(root, "src")
	}
	dir, err := filepath.Abs(dir) // also for workers
	if err != nil {
		return err
	}
	r := report{dir: dir, workers: workers}
	begin := time.Now()
	if r.result, err = inProcesses(ctx, dir, workers); err != nil {
		return err
	}
	r.together = time.Since(begin)
	begin = time.Now()
	alone, err := inOneProcess(ctx, dir)
	if err != nil {
		return err
	}
	r.alone = time.Since(begin)
	if err := r.equal(alone); err != nil {
		return err
	}
	return r.write(w)
}
