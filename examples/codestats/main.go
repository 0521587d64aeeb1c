// Codestats measures the Go files below a directory, by default the source tree
// of the installed Go, in three ways: one file after the other, with goroutines,
// and with a pool of worker processes. It checks that all three find the same,
// and reports it with the time that each took.
//
//	go run ./examples/codestats [-json] [DIR]
//
// Each worker process has a small heap of its own, which its own collector clears
// up; the goroutines share one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp"
)

func main() {
	mp.Init() // a worker process analyses its files in here and never returns

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

// run measures the tree below dir, or Go's own if dir is empty, and writes the
// report to w.
func run(ctx context.Context, w io.Writer, dir string, asJSON bool) error {
	if dir == "" {
		var err error
		if dir, err = goRoot(ctx); err != nil {
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

// goRoot asks the go command, for a program cannot know where the Go that is
// installed now lies: runtime.GOROOT tells of the one that built it, if at all.
func goRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err == nil && root == "" {
		err = errors.New("it printed nothing")
	}
	if err != nil {
		return "", fmt.Errorf("cannot find the installed Go with go env GOROOT, name a directory instead: %w", err)
	}
	return root, nil
}
