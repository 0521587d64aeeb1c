// Wordcount counts the words in the Go files below a directory, by default the source of the
// installed Go. Worker processes share changing data in a manager: the directories that have yet to
// be visited, the texts that have already been seen (so that copies are not counted twice), and the
// counts.
//
//	go run ./examples/wordcount [-workers N] [DIR]
//
// The tree is not known in advance. A worker that visits a directory adds its subdirectories to the
// work, and the job is done when all directories have been processed. In the end the program counts
// everything once more in its own process, and compares the results.
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
	mp.Init() // never returns in a worker, which visits directories in here, or in the manager's process

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

	dir, err := filepath.Abs(dir) // absolute, since workers use it too
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
