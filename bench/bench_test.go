package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

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
	if err := run(t.Context(), []string{"-quick", "-json", "-only", "call,map,deadline,crash,memory"}, &out, &skipped); err != nil {
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
	for name, peers := range map[string]int{"call": 3, "call-16": 1, "map": 3, "map-cost": 2, "deadline": 1, "crash": 1, "memory": 1} {
		if n := results[name]; n > peers || n < peers-missing {
			t.Errorf("row %s has %d results, want %d", name, n, peers)
		}
	}
}

func TestMissingPeerIsSkipped(t *testing.T) {
	t.Setenv("PATH", "")
	var out, skipped bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-only", "stream"}, &out, &skipped); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 || !strings.Contains(skipped.String(), "skipped: stream, Python") {
		t.Errorf("printed %q and %q", &out, &skipped)
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
