// Codestats measures the Go files below a directory, by default the source tree of the installed
// Go, in three ways: one file after another, with goroutines, and with a pool of worker processes.
// It checks that all three ways give the same result, and reports the result and the time that each
// way took.
//
//	go run ./examples/codestats [-json] [DIR]
//
// Each worker process has a small heap and a garbage collector of its own; the goroutines share one
// heap and one garbage collector.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

func main() {
	mp.Init() // a worker process analyzes its files in Init, which never returns there

	asJSON := flag.Bool("json", false, "print totals and times as one JSON object")
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() > 1 {
		usage()
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, flag.Arg(0), *asJSON)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "codestats:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "usage: codestats [-json] [DIR]")
	flag.PrintDefaults()
}

// run measures the tree below dir and writes the report to w. If dir is empty, it measures Go's own
// source.
func run(ctx context.Context, w io.Writer, dir string, asJSON bool) error {
	if dir == "" {
		var err error
		if dir, err = tree.GoRoot(ctx); err != nil {
			return err
		}
	}

	t, err := listTree(dir)
	if err != nil {
		return err
	}
	m, err := measure(ctx, t)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(newJSONReport(m))
	}

	return writeReport(w, m)
}
