// The bench command measures mp and compares it with its peers. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp"
)

func main() {
	mp.Init()
	playRole()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures the rows that the arguments select. If a row fails, it still measures the others.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print an object a line instead of a table")
	only := flags.String("only", "", "measure only rows whose names begin with one of these, e.g. call,map")
	quick := flags.Bool("quick", false, "3 short rounds that say whether it works, not how fast it is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q; rows are picked with -only", flags.Arg(0))
	}

	rows, err := pick(allRows(), *only)
	if err != nil {
		return err
	}
	b, err := newBench(*quick, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	report := newTable(stdout)
	if *asJSON {
		report = newLines(stdout)
	}

	var failed []error
	for _, r := range rows {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		failed = append(failed, b.measure(ctx, r, report))
	}

	return errors.Join(failed...)
}

func allRows() []row {
	return []row{
		callRow(), call16Row(),
		mapRow(), mapAllocationsRow(), mapSystemCallsRow(),
		streamRow(), submitRow(),
		deadlineRow(),
		grain10Row(), grain100Row(), grain1000Row(), grainMixedRow(), workers200Row(), parentCPURow(),
		cpuRow(), startRow(), crashRow(), memoryRow(),
		mutexRow(), mutex2Row(), rwMutexRow(), eventRow(), valueRow(), arrayRow(), zeroCopyRow(),
		queueRow(), queue4x4Row(), queueLargeRow(), queueViewRow(),
		pipeSameCoreRow(), pipeCrossCoreRow(), pipeStreamRow(), echoRow(),
		managerDictRow(), managerDict16Row(), managerListRow(), managerBatchRow(), managerStartRow(),
	}
}

// pick returns the rows whose names begin with one of the comma-separated prefixes.
func pick(rows []row, prefixes string) ([]row, error) {
	if prefixes == "" {
		return rows, nil
	}
	wanted := map[int]bool{}
	for prefix := range strings.SplitSeq(prefixes, ",") {
		found := false
		for i, r := range rows {
			if strings.HasPrefix(r.name, prefix) {
				wanted[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only: no row begins with %q", prefix)
		}
	}

	var picked []row
	for i, r := range rows {
		if wanted[i] {
			picked = append(picked, r)
		}
	}

	return picked, nil
}
