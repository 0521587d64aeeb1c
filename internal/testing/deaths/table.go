package deaths

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-multiprocessing/mp"
)

// A Row says what must happen for one way to die.
type Row struct {
	Way     string
	Returns string    // what Call returns, in the words of the docs; see returns
	Reason  mp.Reason // of the WorkerError; "" if there is none
	End     End       // of the task's worker
	Stderr  string    // part of the WorkerError's Stderr
	Needs   Need
	Or      []Fate // alternatives, if the outcome depends on a race

	Env []string // of the worker

	// Exit is the Process.ExitCode, if a Process can die this way. A Process behaves like a worker,
	// except that it does not swallow signals.
	Exit  int
	Alone string // what Process.Wait returns; "" if it is the same as Returns
}

// A Fate is how a worker died. It also determines the exit code of a Process.
type Fate struct {
	Reason mp.Reason
	End    End
}

// closed lists the possible outcomes of closing descriptors, other than a crash. Either the worker
// ends because it cannot read from its parent, or the runtime can no longer sleep, and the worker
// hangs until its parent kills it.
var closed = []Fate{{mp.ReasonExit, 1}, {mp.ReasonCorrupt, Killed}}

// starved lists the possible outcomes when memory runs out. Now and then, the Go runtime uses
// memory that it did not get, instead of reporting that it did not get it. Sometimes the parent is
// the first to see that the worker has too much memory.
var starved = []Fate{{mp.ReasonFatal, 2}, {mp.ReasonOutOfMemory, Killed}}

// End is how a worker ends.
type End int

// A worker goes on, exits with a code, or is ended by a signal n, which is written as -n.
const (
	GoesOn End = -1000
	Killed End = -9

	aborted End = -6
)

func (e End) String() string {
	switch {
	case e == GoesOn:
		return "-"
	case e < 0:
		return "signal " + strconv.Itoa(int(-e))
	}
	return "code " + strconv.Itoa(int(e))
}

// Need is what a death needs, in addition to a pool.
type Need int

// The needs.
const (
	Nothing  Need = iota
	Deadline      // a timeout, because it would last forever; it does not run as a Process
	Memory        // a memory limit
	Losses        // permission to lose other tasks of the same chunk
)

// The outcomes that a task's caller can get.
const (
	theError  = "the error"
	theText   = "an error with its text"
	theResult = "its result"
	panicked  = "`*PanicError`"
	goexit    = "`ErrGoexit`"
	died      = "`*WorkerError`"
	tooLate   = "`context.DeadlineExceeded`"
)

// GoTable has the deaths that do not need C.
var GoTable = []Row{
	{Way: "returns an error", Returns: theError, End: GoesOn, Exit: 1},
	{Way: "returns an error of a registered type", Returns: theError, End: GoesOn, Exit: 1},
	{Way: "returns an error that cannot be encoded", Returns: theText, End: GoesOn, Exit: 1},
	{Way: "panics", Returns: panicked, End: GoesOn, Exit: 2},
	{Way: "panics in a deferred function while it panics", Returns: panicked, End: GoesOn, Exit: 2},
	{Way: "writes to a nil map", Returns: panicked, End: GoesOn, Exit: 2},
	{Way: "reads the terminal", Returns: theError, End: GoesOn, Exit: 1},
	{Way: "calls runtime.Goexit", Returns: goexit, End: GoesOn, Exit: 1},
	{Way: "waits for its context, until the deadline", Returns: tooLate, End: GoesOn, Needs: Deadline},
	{Way: "sends itself SIGTERM", Returns: theResult, End: GoesOn, Exit: -15, Alone: died},
	{Way: "sends itself SIGHUP", Returns: theResult, End: GoesOn, Exit: -1, Alone: died},
	{Way: "sends itself SIGUSR1, SIGUSR2, SIGALRM and SIGWINCH", Returns: theResult, End: GoesOn, Exit: 0},

	{Way: "calls os.Exit(0)", Returns: died, Reason: mp.ReasonExit, End: 0, Exit: 0},
	{Way: "calls os.Exit(3)", Returns: died, Reason: mp.ReasonExit, End: 3, Exit: 3},
	{Way: "calls log.Fatal", Returns: died, Reason: mp.ReasonExit, End: 1, Stderr: "the last word", Exit: 1},
	{Way: "panics in a goroutine of its own", Returns: died, Reason: mp.ReasonFatal, End: 2, Stderr: "panic: elsewhere", Exit: 2},
	{Way: "writes to a nil map in a goroutine of its own", Returns: died, Reason: mp.ReasonFatal, End: 2, Stderr: "nil map", Exit: 2},
	{Way: "writes to a map in many goroutines", Returns: died, Reason: mp.ReasonFatal, End: 2, Stderr: "concurrent map", Exit: 2},
	{Way: "recurses without end", Returns: died, Reason: mp.ReasonFatal, End: 2, Stderr: "stack overflow", Exit: 2},
	{Way: "allocates without end, under a cap", Returns: died, Reason: mp.ReasonOutOfMemory, End: 2, Needs: Memory, Exit: 2, Or: starved},
	{Way: "allocates 1.5 GiB at once, under a cap", Returns: died, Reason: mp.ReasonOutOfMemory, End: 2, Needs: Memory, Exit: 2, Or: starved},
	{Way: "sends itself SIGKILL", Returns: died, Reason: mp.ReasonSignal, End: Killed, Exit: -9},
	{Way: "leaves children that hold its descriptors, and exits", Returns: died, Reason: mp.ReasonExit, End: 3, Exit: 3},
	{Way: "leaves children that hold its descriptors, and is killed", Returns: died, Reason: mp.ReasonSignal, End: Killed, Exit: -9},
	{Way: "closes its descriptors from 3 on", Returns: died, Reason: mp.ReasonFatal, End: 2, Exit: 2, Or: closed},
	{Way: "closes all its descriptors", Returns: died, Reason: mp.ReasonExit, End: 2, Exit: 2, Or: closed},
	{Way: "writes noise to its socket", Returns: died, Reason: mp.ReasonCorrupt, End: Killed, Exit: -9},
	{Way: "writes noise over the memory that it shares with its parent", Returns: died, Reason: mp.ReasonCorrupt, End: Killed, Needs: Losses, Exit: -9},
	{Way: "writes zeros over the memory that it shares with its parent, and is killed", Returns: died, Reason: mp.ReasonCorrupt, End: Killed, Needs: Losses, Exit: -9},

	{Way: "loops for ever, until the deadline", Returns: died, Reason: mp.ReasonDeadline, End: Killed, Needs: Deadline},
	{Way: "waits in a select without cases, until the deadline", Returns: died, Reason: mp.ReasonDeadline, End: Killed, Needs: Deadline},
	{Way: "waits for a mutex that it holds, until the deadline", Returns: died, Reason: mp.ReasonDeadline, End: Killed, Needs: Deadline},
	{Way: "prints for ever, until the deadline", Returns: died, Reason: mp.ReasonDeadline, End: Killed, Needs: Deadline},
	{Way: "sends itself SIGSTOP, until the deadline", Returns: died, Reason: mp.ReasonDeadline, End: Killed, Needs: Deadline},
}

// CTable has the deaths that need C.
var CTable = []Row{
	{Way: "C: uses a null pointer on the task's thread", Returns: died, Reason: mp.ReasonFatal, End: 2, Stderr: "SIGSEGV", Exit: 2},
	{Way: "C: uses a null pointer on a thread of its own", Returns: died, Reason: mp.ReasonSignal, End: -11, Exit: -11},
	{Way: "C: calls abort", Returns: died, Reason: mp.ReasonFatal, End: 2, Stderr: "SIGABRT", Exit: 2},
	{Way: "C: calls exit(3)", Returns: died, Reason: mp.ReasonExit, End: 3, Exit: 3},
	{Way: "C: sleeps for ever, until the deadline", Returns: died, Reason: mp.ReasonDeadline, End: Killed, Needs: Deadline},
}

// Crashing returns the rows in which the Go runtime ends the worker and reports that on stderr,
// adapted to GOTRACEBACK=crash. With that setting, the worker ends with SIGABRT, for the same
// reason.
func Crashing(table []Row) (rows []Row) {
	for _, r := range table {
		ends := r.Reason == mp.ReasonFatal || r.Reason == mp.ReasonOutOfMemory
		if !ends || r.End != 2 || slices.Equal(r.Or, closed) {
			continue
		}
		r.Env = []string{"GOTRACEBACK=crash"}
		r.End, r.Exit = aborted, int(aborted)
		r.Or = slices.Clone(r.Or)
		for i := range r.Or {
			if r.Or[i].End != Killed {
				r.Or[i].End = aborted
			}
		}
		rows = append(rows, r)
	}

	return rows
}

// Cells returns the row as shown in the docs.
func (r Row) Cells() []string {
	reasons, ends, exits := []string{string(r.Reason)}, []string{r.End.String()}, []string{strconv.Itoa(r.Exit)}
	for _, f := range r.Or {
		reasons = append(reasons, string(f.Reason))
		ends = append(ends, f.End.String())
		exits = append(exits, strconv.Itoa(int(f.End)))
	}
	reason, replaced, exit := inStep(reasons), "yes", inStep(exits)
	if reason == "" {
		reason = "-"
	}

	if r.End == GoesOn {
		replaced = "no"
	}
	if r.Needs == Deadline {
		exit = "-"
	}
	return []string{r.Way, r.Returns, reason, inStep(ends), replaced, exit}
}

// inStep returns the fates for a cell. It lists all of them, in the order of the row's other cells,
// unless they are equal.
func inStep(fates []string) string {
	if len(slices.Compact(slices.Clone(fates))) == 1 {
		return fates[0]
	}
	return strings.Join(fates, " / ")
}
