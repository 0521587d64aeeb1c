package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/bench/internal/tasks"
)

// These rows compare the cost of a Map per element, in the parent and the workers together, with a
// limit.

const mapCostLimit = 0.01

func mapCostRow(what string, open opener) row {
	return row{
		name: "map-cost", unit: "per element", better: lower,
		mp:    open,
		peers: []peer{{"limit, " + what, 1, limit(mapCostLimit)}},
	}
}

// limit returns an opener for a side with a fixed figure.
func limit(v float64) opener {
	return func(context.Context, *bench) (side, error) {
		return side{round: func() (float64, error) { return v, nil }, close: func() {}}, nil
	}
}

// perElement divides a count by the number of elements in all maps. It treats a count of zero as
// one, since zero has no ratio.
func perElement(count, maps int) float64 {
	return float64(max(count, 1)) / float64(maps) / mapElements
}

// mapAllocationsRow counts heap allocations.
func mapAllocationsRow() row {
	return mapCostRow("heap allocations", onPool(func(ctx context.Context, b *bench, pool *mp.Pool) (float64, error) {
		maps := b.size(20, 2)
		n, err := mapAllocations(ctx, pool, maps)
		return perElement(n, maps), err
	}))
}

func mapAllocations(ctx context.Context, pool *mp.Pool, maps int) (int, error) {
	in := tasks.Ints(mapElements)
	outs := make([][]int, maps)
	if _, err := mp.Map(ctx, pool, tasks.Square, in); err != nil { // warm up
		return 0, err
	}
	before, err := tasks.Reports(ctx, pool)
	if err != nil {
		return 0, err
	}
	count := -int(tasks.Mallocs())
	for i := range outs {
		if outs[i], err = mp.Map(ctx, pool, tasks.Square, in); err != nil {
			return 0, err
		}
	}

	count += int(tasks.Mallocs())
	after, err := tasks.Reports(ctx, pool)
	if err != nil {
		return 0, err
	}

	for _, out := range outs {
		if err := tasks.CheckSquares(out); err != nil {
			return 0, err
		}
	}
	grown, err := growth(before, after)
	return count + grown, err
}

// growth returns how many allocations the workers made between their last reports in before and
// their first reports in after.
func growth(before, after []tasks.Usage) (int, error) {
	last, first := map[int]uint64{}, map[int]uint64{}
	for _, u := range before {
		last[u.PID] = max(last[u.PID], u.Mallocs)
	}

	for _, u := range after {
		if m, ok := first[u.PID]; !ok || u.Mallocs < m {
			first[u.PID] = u.Mallocs
		}
	}
	sum := 0
	for pid, m := range first {
		if last[pid] == 0 {
			return 0, fmt.Errorf("worker %d was not there before", pid)
		}
		sum += int(m - last[pid])
	}

	return sum, nil
}

// mapSystemCallsRow counts system calls with strace. Since strace slows everything down, tasks look
// longer than they are and chunks get smaller, so the figure is an upper bound.
func mapSystemCallsRow() row {
	return mapCostRow("system calls", func(ctx context.Context, b *bench) (side, error) {
		strace, err := exec.LookPath("strace")
		if err != nil {
			return side{}, missing{"strace is not there"}
		}

		if err := b.build(); err != nil {
			return side{}, err
		}
		if _, err := b.tracedMaps(ctx, strace, 0); err != nil {
			return side{}, missing{err.Error()}
		}

		return side{round: func() (float64, error) {
			maps := b.size(20, 2)
			n, err := b.mapSystemCalls(ctx, strace, maps)
			return perElement(n, maps), err
		}, close: func() {}}, nil
	})
}

// mapSystemCalls returns how many more system calls a run with several Maps makes than a run with
// one.
func (b *bench) mapSystemCalls(ctx context.Context, strace string, maps int) (int, error) {
	one, err := b.tracedMaps(ctx, strace, 1)
	if err != nil {
		return 0, err
	}
	more, err := b.tracedMaps(ctx, strace, 1+maps)
	return more - one, err
}

// tracedMaps returns the number of system calls of a whole run of the minimal program.
func (b *bench) tracedMaps(ctx context.Context, strace string, maps int) (int, error) {
	counts := filepath.Join(b.dir, "strace.out")
	cmd := exec.CommandContext(ctx, strace, "-f", "-c", "-o", counts, filepath.Join(b.dir, "minimal"))
	cmd.Stdin = strings.NewReader(fmt.Sprintf("maps %d %d\n", mapElements, maps))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("strace: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if said := strings.TrimSpace(string(out)); said != "ok" {
		return 0, fmt.Errorf("the minimal program under strace said %q", said)
	}
	table, err := os.ReadFile(counts)
	if err != nil {
		return 0, err
	}
	return totalCalls(string(table))
}

// totalCalls returns the number of calls in the last line of strace's table.
func totalCalls(table string) (int, error) {
	const callsColumn = 3
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) > callsColumn && words[len(words)-1] == "total" {
			return strconv.Atoi(words[callsColumn])
		}
	}
	return 0, fmt.Errorf("no total in strace's table:\n%s", table)
}
