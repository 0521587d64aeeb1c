package mp

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-multiprocessing/mp/internal/pool"
)

// Stats describes the state of a pool and what has happened to its workers. Its String method
// formats it as a table for people.
type Stats struct {
	// Workers is the number of workers that the pool should have.
	Workers int

	// Serving is the number of workers in service. It can be 0 right after NewPool, see
	// [Pool.Ready]. After [Pool.Resize] it exceeds Workers until the surplus workers have finished
	// their tasks.
	Serving int

	// Busy is the number of serving workers that have tasks.
	Busy int

	// Spares is the number of additional workers that are ready.
	Spares int

	// Queued is the number of submissions with tasks that wait for a worker. A Map is one
	// submission.
	Queued int

	// Started is the number of workers that have come into service so far.
	Started int

	// Recycled is the number of started workers that ended to make way for new ones, see [Recycle]
	// and [Pool.Resize].
	Recycled int

	// Died is the number of started workers that ended in any other way. Workers that ended with
	// the pool do not count.
	Died int

	// PerWorker describes the workers in service, in the order of their slots.
	PerWorker []WorkerStats

	// Functions describes the functions that have run, by name.
	Functions []FuncStats

	// Slowest lists the slowest tasks, at most ten, the slowest first.
	Slowest []SlowTask

	// Ends lists the last workers that ended before the pool did, at most ten, the latest last.
	Ends []WorkerEnd

	// Failing lists the slots for which no worker can be started at present, in order.
	Failing []StartFailure

	// Containment is what kills the processes that tasks leave behind.
	Containment Containment

	// Enforced names what enforces the limits.
	Enforced Enforced
}

// Stats returns the pool's figures at one moment. It takes about ten microseconds for each worker,
// mostly to read the worker's memory size. It does not delay tasks. The Stats of a nil Pool are
// empty.
func (p *Pool) Stats() Stats {
	if !p.made() {
		return Stats{}
	}

	s := p.engine.Stats()
	stats := Stats{
		Workers: s.Slots, Serving: s.Serving, Busy: s.Busy, Spares: s.Spares, Queued: s.Queued,
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

// String formats the figures as tables for people. The format may change.
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

// FuncStats describes the tasks of a function.
type FuncStats struct {
	Func    string        // the function's name
	Done    int           // the number of finished tasks
	Average time.Duration // the average duration of the last tasks
	Chunk   int           // how many tasks were last sent together
}

// SlowTask describes a task that took 10 ms or more. The worker measures such tasks individually.
//
// Arg shows the beginning of the task's argument on one line. A value in the argument can choose
// how it is shown: it can implement [slog.LogValuer] or [fmt.Formatter], have a method Redacted()
// string, or implement [error] or [fmt.Stringer]. The first of these that applies is used. This
// also works for pointers to such a value, and for values inside structs, slices and interfaces. A
// map is shown only by its length. The methods run on a goroutine of their own. If one panics, or
// if they take more than 100 ms, Arg shows the name of the type instead.
//
// A value without such a method is shown as it is. [PoolConfig.HideArguments] omits all arguments.
// Package insight shows arguments to others only if told to.
type SlowTask struct {
	Func   string        // the function's name
	Task   uint64        // the task's ID; see [TaskInfo]
	Worker int           // the number of its worker
	Took   time.Duration // its duration
	Arg    string        // the beginning of its argument; "" with HideArguments
	Lost   bool          // whether it ended with its worker
}

// StartFailure says that a slot has no worker at present because each attempt to start one fails.
// [Restart] describes further attempts.
type StartFailure struct {
	Worker   int       // the slot; 0 for spares
	Attempts int       // the number of failed attempts in a row
	Since    time.Time // when the first of these attempts failed
	Why      string    // why the last attempt failed
}

// WorkerEnd describes the end of a worker.
type WorkerEnd struct {
	Worker int           // the worker's slot
	PID    int           // its process ID
	When   time.Time     // when it ended
	Served time.Duration // how long it was in service
	Done   int           // the number of its finished tasks
	Why    string        // why it ended
}

// WorkerInfo describes a worker of a pool.
type WorkerInfo struct {
	Worker  int         // the slot in the pool, from 1; a replacement has the same slot
	PID     int         // the process ID
	State   WorkerState // whether the worker has tasks
	Started time.Time   // when the worker was started

	// Task is the ID of the running task, from 1; 0 if no task is running.
	Task uint64

	// Func is the name of the running task's function; "" if no task is running.
	Func string
}

// WorkerState says whether a worker has tasks.
type WorkerState string

// Worker states.
const (
	WorkerIdle WorkerState = "idle" // the worker has no tasks
	WorkerBusy WorkerState = "busy" // the worker has tasks
)

// WorkerStats describes what a worker is doing and what it has done. The sum of Waiting, Working
// and Talking is its time in service.
type WorkerStats struct {
	WorkerInfo
	Begun  time.Time // when the running task began, accurate to a few milliseconds; zero if no task is running
	Done   int       // the number of finished tasks
	Before int       // the number of workers that had the slot before

	Starting time.Duration // from the start of the process until it could serve
	Waiting  time.Duration // time without tasks
	Working  time.Duration // time in tasks
	Talking  time.Duration // time in which arguments or results were in transit

	RSS  int64 // resident memory in bytes; 0 if unknown
	Peak int64 // the largest RSS so far; 0 if unknown
}

func newStartFailure(f pool.Failing) StartFailure {
	return StartFailure{Worker: f.Worker, Attempts: f.Attempts, Since: f.Since, Why: f.Why.Error()}
}

func newWorkerInfo(w pool.Info) WorkerInfo {
	info := WorkerInfo{Worker: w.Worker, PID: w.PID, State: WorkerIdle, Started: w.Started}
	if w.Busy {
		info.State = WorkerBusy
	}
	if w.Running {
		info.Task, info.Func = w.Task, w.Func
	}
	return info
}

func newWorkerStats(w pool.Info) WorkerStats {
	return WorkerStats{
		WorkerInfo: newWorkerInfo(w),
		Begun:      w.Begun, Done: w.Done, Before: w.Before,
		Starting: w.Starting, Waiting: w.Waiting, Working: w.Working, Talking: w.Talking,
		RSS: w.RSS, Peak: w.Peak,
	}
}

func (f StartFailure) place() string {
	if f.Worker == 0 {
		return "a spare"
	}
	return fmt.Sprintf("worker %d", f.Worker)
}

// task describes the running task.
func (w WorkerStats) task(now time.Time) string {
	if w.Func == "" {
		return "-"
	}
	return fmt.Sprintf("%s #%d for %s", w.Func, w.Task, short(max(now.Sub(w.Begun), 0)))
}

// table writes rows of cells in aligned columns. A row with a different number of cells begins
// another table.
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
		// Tabs and newlines in a cell would break the table.
		fmt.Fprintf(t.w, "%s\t", strings.Join(strings.Fields(fmt.Sprint(c)), " "))
	}
	fmt.Fprintln(t.w)
}

// end ends a table, so that the next one gets its own column widths.
func (t *table) end() { _ = t.w.Flush() }

// short formats a duration with the few digits that matter.
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
