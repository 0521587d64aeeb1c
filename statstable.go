package mp

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// String is a table of the figures, for people: its form may change.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d workers serve, %d busy, %d spare; %d submissions wait; %d started, %d recycled, %d died\n",
		s.Serving, s.Workers, s.Busy, s.Spares, s.Queued, s.Started, s.Recycled, s.Died)
	t := table{w: tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)}
	if len(s.PerWorker) > 0 {
		t.row("worker", "pid", "state", "done", "started in", "working", "waiting", "talking", "memory", "peak", "before", "task")
		now := time.Now()
		for _, w := range s.PerWorker {
			t.row(w.Worker, w.PID, w.State, w.Done, short(w.Starting), short(w.Working), short(w.Waiting), short(w.Talking),
				mebibytes(w.RSS), mebibytes(w.Peak), w.Before, w.task(now))
		}
	}
	if len(s.Functions) > 0 {
		t.row("function", "done", "average", "chunk")
		for _, f := range s.Functions {
			t.row(f.Func, f.Done, short(f.Average), f.Chunk)
		}
	}
	if len(s.Slowest) > 0 {
		t.row("slow task", "function", "worker", "took", "argument")
		for _, x := range s.Slowest {
			took := short(x.Took)
			if x.Lost {
				took += ", lost"
			}
			t.row(x.Task, x.Func, x.Worker, took, x.Arg)
		}
	}
	if len(s.Ends) > 0 {
		t.row("ended", "worker", "pid", "served", "done", "why")
		for _, e := range s.Ends {
			t.row(e.When.Format(time.TimeOnly), e.Worker, e.PID, short(e.Served), e.Done, e.Why)
		}
	}
	if len(s.Failing) > 0 {
		t.row("cannot start", "attempts", "since", "why")
		for _, f := range s.Failing {
			t.row(f.place(), f.Attempts, f.Since.Format(time.TimeOnly), f.Why)
		}
	}
	t.end()
	return b.String()
}

func (f StartFailure) place() string {
	if f.Worker == 0 {
		return "a spare"
	}
	return fmt.Sprintf("worker %d", f.Worker)
}

// task is what a worker is at.
func (w WorkerStats) task(now time.Time) string {
	if w.Func == "" {
		return "-"
	}
	return fmt.Sprintf("%s #%d for %s", w.Func, w.Task, short(max(now.Sub(w.Begun), 0)))
}

// table writes rows of cells; one with a heading in a first cell that is text begins another table.
type table struct {
	w     *tabwriter.Writer
	cells int
}

func (t *table) row(cells ...any) {
	if t.cells > 0 && t.cells != len(cells) {
		t.end()
	}
	t.cells = len(cells)
	for _, c := range cells {
		// Tabs and lines are the table's.
		fmt.Fprintf(t.w, "%s\t", strings.Join(strings.Fields(fmt.Sprint(c)), " "))
	}
	fmt.Fprintln(t.w)
}

// end ends a table, so that the columns of the next have widths of their own.
func (t *table) end() { _ = t.w.Flush() }

// short leaves of a time what one wants to know.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	case d >= time.Microsecond:
		d = d.Round(10 * time.Nanosecond)
	}
	return d.String()
}

func mebibytes(n int64) string {
	if n == 0 {
		return "?"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
