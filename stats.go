package mp

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// Stats is what a pool is doing and what has happened to its workers. Its String is a table for
// people.
type Stats struct {
	Workers int // that it is to have
	Serving int // that are in service: none right after NewPool, see Pool.Ready; more than Workers while those too many finish their tasks
	Busy    int // of these, with tasks
	Spares  int // further ones that are ready
	Queued  int // submissions of which tasks wait for a worker; a Map is one

	Started  int // workers that have come into service so far
	Recycled int // of these, ended to make way for fresh ones, see [Recycle] and [Pool.Resize]
	Died     int // of these, ended in any other way but with the pool

	PerWorker []WorkerStats  // of those in service, in the order of their places
	Functions []FuncStats    // that have been run, by name
	Slowest   []SlowTask     // at most ten, the slowest first
	Ends      []WorkerEnd    // of workers, but with the pool: at most ten, the last one last
	Failing   []StartFailure // places for which no worker can be started at present, in their order

	Containment Containment // what kills the processes that tasks leave behind
	Enforced    Enforced    // what sees to the limits
}

// Stats returns the pool's figures at one moment. It costs some ten microseconds a worker, most of
// them for its memory, and the tasks nothing. A nil Pool has none.
func (p *Pool) Stats() Stats {
	if !p.made() {
		return Stats{}
	}
	s := p.engine.Stats()
	stats := Stats{
		Workers: s.Places, Serving: s.Serving, Busy: s.Busy, Spares: s.Spares, Queued: s.Queued,
		Started: s.Started, Recycled: s.Recycled, Died: s.Died,
		Containment: p.containment, Enforced: p.enforced,
	}
	for _, w := range s.Workers {
		stats.PerWorker = append(stats.PerWorker, newWorkerStats(w))
	}
	for _, f := range s.Funcs {
		stats.Functions = append(stats.Functions, FuncStats(f))
	}
	for _, t := range s.Slowest {
		stats.Slowest = append(stats.Slowest, SlowTask(t))
	}
	for _, e := range s.Ends {
		stats.Ends = append(stats.Ends, WorkerEnd(e))
	}
	for _, f := range s.Failing {
		stats.Failing = append(stats.Failing, newStartFailure(f))
	}
	return stats
}

// FuncStats is what is known of a function's tasks.
type FuncStats struct {
	Func    string
	Done    int
	Average time.Duration // of late
	Chunk   int           // how many were last sent together
}

// SlowTask is a task that took long: 10 ms or more. The worker measures these by themselves.
//
// Arg is the beginning of the task's argument, one line. A value in it that is a [slog.LogValuer],
// [fmt.Formatter], [error] or [fmt.Stringer], or has a method Redacted, is shown by the first of these:
// so are pointers to it, and what is in structs, slices and interfaces. Of a map there is the
// length alone. Such a method is called on a goroutine of its own; if it panics, or takes more than
// 100 ms, there is the type's name instead. What does not hide itself is shown:
// [PoolConfig.HideArguments] shows nothing, and package insight shows arguments to others only if told to.
type SlowTask struct {
	Func   string
	Task   uint64 // its id; see [TaskInfo]
	Worker int
	Took   time.Duration
	Arg    string // the beginning of its argument; "" with HideArguments
	Lost   bool   // it ended with its worker
}

// StartFailure says that a place has no worker at present, because starting one keeps failing. It is tried
// again, see [Restart].
type StartFailure struct {
	Worker   int       // its place; 0 for spares
	Attempts int       // that have failed, one after the other
	Since    time.Time // of the first of these
	Why      string    // the last one failed
}

func newStartFailure(f crew.Failing) StartFailure {
	return StartFailure{Worker: f.Worker, Attempts: f.Attempts, Since: f.Since, Why: f.Why.Error()}
}

// WorkerEnd is how a worker has ended.
type WorkerEnd struct {
	Worker int // its place
	PID    int
	When   time.Time
	Served time.Duration
	Done   int // tasks
	Why    string
}

// WorkerInfo describes a worker of a pool.
type WorkerInfo struct {
	Worker  int         // its place in the pool, from 1; a replacement has the same
	PID     int         // of its process
	State   WorkerState // what it is doing
	Started time.Time

	// Task and Func are the id of the task that it is running and the name of
	// the function; zero if it runs none. Ids begin with 1.
	Task uint64
	Func string
}

// WorkerState is what a worker is doing.
type WorkerState string

// Worker states.
const (
	WorkerIdle WorkerState = "idle" // it has nothing to do
	WorkerBusy WorkerState = "busy" // it has tasks
)

func newWorkerInfo(w crew.Info) WorkerInfo {
	info := WorkerInfo{Worker: w.Worker, PID: w.PID, State: WorkerIdle, Started: w.Started}
	if w.Busy {
		info.State = WorkerBusy
	}
	if w.Running {
		info.Task, info.Func = w.Task, w.Func
	}
	return info
}

// WorkerStats is what a worker is doing and what it has done. Its time in service is the sum of
// Waiting, Working and Talking.
type WorkerStats struct {
	WorkerInfo
	Begun  time.Time // the task that it is running, to some milliseconds; zero if it runs none
	Done   int       // tasks
	Before int       // workers that were in its place before

	Starting time.Duration // until it could serve
	Waiting  time.Duration // without tasks
	Working  time.Duration // in tasks
	Talking  time.Duration // with tasks of which arguments or results were on their way

	RSS  int64 // bytes in memory; 0 if that cannot be told
	Peak int64 // at most so far
}

func newWorkerStats(w crew.Info) WorkerStats {
	return WorkerStats{
		WorkerInfo: newWorkerInfo(w),
		Begun:      w.Begun, Done: w.Done, Before: w.Before,
		Starting: w.Starting, Waiting: w.Waiting, Working: w.Working, Talking: w.Talking,
		RSS: w.RSS, Peak: w.Peak,
	}
}

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
