package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

func TestMain(m *testing.M) {
	mp.Init()
	playRole()
	os.Exit(m.Run())
}

func TestQuick(t *testing.T) {
	var out, skipped bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json", "-only", "call,map,grain,workers,parent,deadline,crash,memory,mutex,rwmutex,event,value,array,zero-copy,queue,pipe,echo,manager"}, &out, &skipped); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s%s", &out, &skipped)
	results := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.MP <= 0 || r.Value <= 0 || r.Ratio <= 0 || r.Spread < 0 || r.Met != "" {
			t.Errorf("cannot be: %s", line)
		}
		results[r.Name]++
	}
	missing := strings.Count(skipped.String(), "\n")
	for name, peers := range map[string]int{
		"call": 3, "call-16": 1, "map": 3, "map-cost": 2, "deadline": 1,
		"grain-10us": 1, "grain-100us": 1, "grain-1ms": 1, "grain-mixed": 1, "workers-200": 1, "parent-cpu": 1, "crash": 1, "memory": 1,
		"mutex": 2, "mutex-2": 2, "rwmutex": 1, "event": 1, "value": 1, "array": 1, "zero-copy": 1,
		"queue": 2, "queue-4x4": 1, "queue-1MiB": 1, "queue-view": 1, "pipe-same-core": 1, "pipe-cross-core": 1, "pipe-stream": 1, "echo-1MiB": 1,
		"manager-dict": 1, "manager-dict-16": 1, "manager-list": 1, "manager-batch": 1, "manager-start": 1,
	} {
		if n := results[name]; n > peers || n < peers-missing {
			t.Errorf("row %s has %d results, want %d", name, n, peers)
		}
	}
}

func TestMissingPeerIsSkipped(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("CC", "")
	for _, row := range []struct{ name, peer string }{{"stream", "Python"}, {"event", "C"}} {
		var out, skipped bytes.Buffer
		if err := run(t.Context(), []string{"-quick", "-only", row.name}, &out, &skipped); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 0 || !strings.Contains(skipped.String(), "skipped: "+row.name+", "+row.peer) {
			t.Errorf("printed %q and %q", &out, &skipped)
		}
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-only", "nonsense"}, {"call"}, {"-nonsense"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

func TestGrowth(t *testing.T) {
	before := []tasks.Usage{{PID: 1, Mallocs: 10}, {PID: 2, Mallocs: 5}, {PID: 1, Mallocs: 12}}
	after := []tasks.Usage{{PID: 2, Mallocs: 9}, {PID: 1, Mallocs: 20}, {PID: 1, Mallocs: 30}}
	if n, err := growth(before, after); n != 12 || err != nil {
		t.Errorf("%d, %v; want 12", n, err)
	}
	if _, err := growth(before[:1], after); err == nil {
		t.Error("a new worker was not noticed")
	}
}

func TestSpan(t *testing.T) {
	if d := span([]stint{{1, 5, 9}, {2, 3, 7}, {3, 6, 8}}); d != 6 {
		t.Errorf("%d, want 6", d)
	}
}

func TestSumOf(t *testing.T) {
	for _, n := range []int{1, 2, 3, 1000, 3_000_001, 300_000_000} {
		if got, want := sumOf(n), tasks.SumSquares(n); got != want {
			t.Errorf("%d: %d instead of %d", n, got, want)
		}
	}
}

func TestMixture(t *testing.T) {
	work := workload{iterations: 1 << 20, took: time.Millisecond}
	in := mixture(work, 1, 200)
	least, most := slices.Min(in), slices.Max(in)
	if least < 1 || least > work.iterationsOf(10*shortest) || most > work.iterationsOf(longest) || most < work.iterationsOf(longest/10) {
		t.Errorf("from %d to %d iterations", least, most)
	}
	if slices.Equal(in, mixture(work, 2, 200)) || !slices.Equal(in, mixture(work, 1, 200)) {
		t.Error("a seed is to give a mixture")
	}
	in = []int{5, 100, 7}
	if out := longestFirst(in); out[0] != sumOf(5) || out[1] != sumOf(100) || out[2] != sumOf(7) {
		t.Error(out)
	}
}

func TestAllElsewhere(t *testing.T) {
	if err := allElsewhere([]int{3, 1, 2}); err != nil {
		t.Error(err)
	}
	for _, pids := range [][]int{{1, 2, 1}, {1, 0}, {1, 1}} {
		if allElsewhere(pids) == nil {
			t.Errorf("%v were accepted", pids)
		}
	}
}

func TestTotalCalls(t *testing.T) {
	for _, table := range []string{
		"% time     seconds  usecs/call     calls    errors syscall\n 60.00    0.000600           6       100         3 futex\n100.00    0.001000           4       250        13 total\n",
		"100.00    0.001000           4       250           total\n",
	} {
		if n, err := totalCalls(table); n != 250 || err != nil {
			t.Errorf("%d, %v; want 250", n, err)
		}
	}
	if _, err := totalCalls("nonsense"); err == nil {
		t.Error("found a total where there is none")
	}
}
