// Package guides_test builds and runs the programs in the folders beside it.
package guides_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// printed is what a program prints, process ids and times left out.
type printed struct {
	first   []string // by main
	workers []string // then by the workers, in any order
	last    []string // by main, after the workers' end
}

var programs = map[string]printed{
	"pool-map": {
		workers: []string{"Processing 1", "Processing 2", "Processing 3", "Processing 4", "Processing 5"},
		last:    []string{"Squares: [1 4 9 16 25]"},
	},
	"pool-map-async": {
		first: []string{"Main goroutine working...", "[1 8 27]"},
	},
	"pool-key-methods": {
		first: []string{"Call: 6", "Map: [2 12 30]", "Submit: 20", "MapAsync: [200 1200 3000]"},
	},
	"pool-error-handling": {
		first: []string{"100 / 0: division by zero", "[10 0 20]"},
	},
	"executor-map-print": {
		workers: []string{
			"Square of 2: 4, calculated by process N",
			"Square of 3: 9, calculated by process N",
			"Square of 4: 16, calculated by process N",
			"Square of 5: 25, calculated by process N",
		},
		last: []string{"Done!"},
	},
	"executor-submit": {
		first: []string{"16"},
	},
	"executor-map": {
		first: []string{"1", "4", "9", "16"},
	},
	"executor-shutdown": {
		first: []string{"0", "1", "4", "9", "16", "closed: true"},
	},
	"pool-square": {
		first: []string{"[1 4 9 16 25]"},
	},
	"pool-cpu-intensive": {
		first: []string{"--- Pool example ---"},
		workers: []string{
			"Processing 49999999 in process N...",
			"Processing 50000000 in process N...",
			"Processing 50000001 in process N...",
			"Processing 50000002 in process N...",
			"Processing 50000003 in process N...",
		},
		last: []string{
			"Results (not all shown): [41666665416666675000000 41666667916666675000000 41666670416666775000001]...",
			"Total time with Pool: N seconds",
		},
	},
	"pool-square-timed": {
		first: []string{"--- Pool example ---"},
		workers: []string{
			"Process N: Calculating square of 1...",
			"Process N: Calculating square of 2...",
			"Process N: Calculating square of 3...",
			"Process N: Calculating square of 4...",
			"Process N: Calculating square of 5...",
			"Process N: Calculating square of 6...",
			"Process N: Calculating square of 7...",
			"Process N: Calculating square of 8...",
			"Process N: Calculating square of 9...",
			"Process N: Calculating square of 10...",
		},
		last: []string{"Results: [1 4 9 16 25 36 49 64 81 100]", "Total time: N seconds"},
	},
	"pool-worker": {
		first: []string{"Main process: Starting Pool example."},
		workers: []string{
			"Process PoolWorker-1: Starting work... (PID: N)",
			"Process PoolWorker-1: Finishing work. (PID: N)",
			"Process PoolWorker-2: Starting work... (PID: N)",
			"Process PoolWorker-2: Finishing work. (PID: N)",
			"Process PoolWorker-3: Starting work... (PID: N)",
			"Process PoolWorker-3: Finishing work. (PID: N)",
		},
		last: []string{"Main process: All pool worker processes finished."},
	},
	"pool-addition": {
		first: []string{"[4 5 6 7 8]"},
	},
}

// varying matches what differs between runs: process ids and seconds.
var varying = regexp.MustCompile(`((?:[Pp]rocess|PID:) )\d+|()\d+\.\d\d( seconds)`)

func TestPrograms(t *testing.T) {
	mains, err := filepath.Glob("*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, main := range mains {
		name := filepath.Dir(main)
		if _, ok := programs[name]; !ok {
			t.Errorf("%s is not in the table", name)
		}
	}

	// One command builds them all, as many at a time as there are processors.
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/", "./...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, want := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.check(t, run(t, filepath.Join(bin, name)))
		})
	}
}

// run returns the lines that a program prints.
func run(t *testing.T, program string) []string {
	t.Helper()
	// The timeout is there to end what hangs, not to measure.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v; it printed\n%s\nand to stderr\n%s", err, &stdout, &stderr)
	}
	return strings.Split(strings.TrimSuffix(varying.ReplaceAllString(stdout.String(), "${1}N${3}"), "\n"), "\n")
}

func (want printed) check(t *testing.T, got []string) {
	t.Helper()
	all := slices.Concat(want.first, slices.Sorted(slices.Values(want.workers)), want.last)
	if len(got) == len(all) {
		slices.Sort(got[len(want.first) : len(got)-len(want.last)])
	}
	if !slices.Equal(got, all) {
		t.Errorf("it printed, the workers' lines sorted,\n%s\n\nnot\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
}
