// Pipeline compresses the files below a directory, by default internal packages of the installed
// Go, into a zip archive, and makes an index of which words are in which files. It has three stages
// of worker processes, which read, compress and index. Queues connect the stages.
//
//	go run ./examples/pipeline [-check] [-o FILE] [-workers N] [DIR]
//
// The queues are bounded, so no stage gets far ahead of the slowest one, and memory use stays small
// however large the tree is. The process that reads a file writes its text into shared memory once,
// and the stages pass the text on without copying it. A file that cannot be read is reported and
// does not end the job. With -check the program does everything again in this process, and compares
// the results.
//
// Reading and compressing a file takes a fraction of a millisecond, which is work for goroutines:
// each transfer to another process costs a good part of that time. Processes are for stages that
// may crash, hang or eat memory, for instance a decoder in C.
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

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

type options struct {
	dir     string // Go's own if empty
	archive string // not kept if empty
	workers int    // for each stage
	check   bool
}

func main() {
	mp.Init() // a worker process does its stage's work in Init, which never returns there

	var o options
	flag.BoolVar(&o.check, "check", false, "do all in one process too, and compare")
	flag.StringVar(&o.archive, "o", "", "keep the archive, in this `file`")
	flag.IntVar(&o.workers, "workers", mp.NumCPU(), "how many worker processes each of the three stages has")
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() > 1 || o.workers < 1 {
		usage()
		os.Exit(2)
	}
	o.dir = flag.Arg(0)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "usage: pipeline [-check] [-o FILE] [-workers N] [DIR]")
	flag.PrintDefaults()
}

// run does the job and writes the report to w.
func run(ctx context.Context, w io.Writer, o options) error {
	if o.dir == "" {
		root, err := tree.GoRoot(ctx)
		if err != nil {
			return err
		}
		o.dir = filepath.Join(root, "src", "internal")
	}

	dir, err := filepath.Abs(o.dir) // absolute, since workers use it too
	if err != nil {
		return err
	}
	names, err := tree.Files(dir, func(name string, why error) {
		fmt.Fprintf(os.Stderr, "pipeline: skipping %s: %v\n", name, why)
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no files below %s", dir)
	}
	if err != nil {
		return err
	}
	m, err := measure(ctx, job{dir, names}, o)
	if err != nil {
		return err
	}

	return writeReport(w, m)
}

// measure does the job in the requested ways, and checks that they agree.
func measure(ctx context.Context, j job, o options) (m measurement, err error) {
	m = measurement{dir: j.dir, workers: o.workers}
	err = writeArchive(o.archive, func(to io.Writer) error {
		m.inStages, m.result, err = timed(func() (result, error) { return inStages(ctx, j, o.workers, to) })
		return err
	})
	if err != nil || !o.check {
		return m, err
	}
	var alone result
	m.alone, alone, err = timed(func() (result, error) { return inOneProcess(ctx, j, io.Discard) })
	if err == nil {
		err = m.equal(alone)
	}
	return m, err
}

// writeArchive calls write to write an archive, to a file if name is not empty. If write fails,
// writeArchive removes the incomplete file.
func writeArchive(name string, write func(io.Writer) error) error {
	if name == "" {
		return write(io.Discard)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	err = write(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}
