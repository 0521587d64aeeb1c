package mp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// A WorkerError is the error of the task that was running when its worker died.
// The task may have had any part of its effects. The pool goes on with a
// replacement. No other task is affected, with one exception: if the worker overwrote the
// memory that it shares with this process, the record of which tasks had started may be
// lost. Then all tasks that it had been sent and that had no result yet end with this
// error, with [ReasonCorrupt]. None is run twice.
type WorkerError struct {
	Worker   int            // its number in the pool, from 1; 1 for a [Process]
	Process  string         // the name of a [Process]; "" for a worker of a pool
	PID      int            // of the dead process
	Func     string         // the name of the function whose task it was running
	Reason   Reason         // why it died
	ExitCode int            // -1 if a signal ended it
	Signal   syscall.Signal // 0 if none did
	Stderr   string         // the beginning of a crash report and the end of what it wrote there, at most 8 KiB
	Stacks   string         // of its goroutines when mp killed it for a task that ignored its context, at most 64 KiB; "" if it did not answer
	Cause    error          // what made mp kill it; nil if it did not
}

// Error says how the worker died and what its last words were.
func (e *WorkerError) Error() string {
	var b strings.Builder
	if e.Process != "" {
		fmt.Fprintf(&b, "mp: the process %s (pid %d) died: %s", e.Process, e.PID, e.Reason)
	} else {
		fmt.Fprintf(&b, "mp: worker %d (pid %d) died while running %s: %s", e.Worker, e.PID, e.task(), e.Reason)
	}
	switch {
	case e.Cause != nil:
		fmt.Fprintf(&b, ": %v", e.Cause)
	case e.Reason == ReasonSignal:
		fmt.Fprintf(&b, " %d (%v)", int(e.Signal), e.Signal)
	case e.Signal != 0:
		fmt.Fprintf(&b, ", signal %d (%v)", int(e.Signal), e.Signal)
	default:
		fmt.Fprintf(&b, ", code %d", e.ExitCode)
	}
	if last := firstWords(e.Stderr); last != "" {
		fmt.Fprintf(&b, ": %s", last)
	}
	return b.String()
}

func (e *WorkerError) task() string {
	if e.Func == "" {
		return "a task"
	}
	return e.Func
}

// Unwrap returns the Cause: the context's error, if that is why mp killed it.
func (e *WorkerError) Unwrap() error { return e.Cause }

// firstWords finds the line of a crash that says what it was, else the last.
func firstWords(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if crew.BeginsCrash(line) {
			return line
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// A Reason says why a worker died, where that can be told.
type Reason string

// Reasons.
const (
	ReasonExit        Reason = "exit"          // it called os.Exit
	ReasonFatal       Reason = "fatal error"   // the Go runtime ended it: a panic outside the task's goroutine, a fatal error, a crash in C on a thread of Go's
	ReasonOutOfMemory Reason = "out of memory" // it needed more memory than there was, or than its limit; under a limit without Limits.Cgroup, ReasonFatal may mean that too
	ReasonSignal      Reason = "signal"        // a signal ended it; so does a crash in C on a thread of C's
	ReasonCancelled   Reason = "cancelled"     // mp killed it: the task ignored that its context was cancelled
	ReasonDeadline    Reason = "deadline"      // the same, at a deadline
	ReasonCorrupt     Reason = "corrupt"       // it broke mp's protocol, overwrote the memory it shares with this process, or read nothing while its send queue was full: mp killed it, or it died just then
)

// workerError tells from a worker's status and last words why it died.
func workerError(d *crew.Death) *WorkerError {
	return &WorkerError{
		Worker: d.Worker, Process: d.Single, PID: d.PID, Func: d.Func, Reason: reasonOf(d),
		ExitCode: d.Status.ExitCode, Signal: d.Status.Signal,
		Stderr: d.Stderr, Stacks: d.Stacks, Cause: d.Cause,
	}
}

func reasonOf(d *crew.Death) Reason {
	switch {
	case errors.Is(d.Cause, context.DeadlineExceeded):
		return ReasonDeadline
	case errors.Is(d.Cause, crew.ErrCorrupt):
		return ReasonCorrupt
	case d.Cause != nil:
		return ReasonCancelled
	case d.Status.OOM:
		return ReasonOutOfMemory
	case d.Status.Signal != 0:
		return ReasonSignal
	case d.Status.ExitCode != 2:
		return ReasonExit
	}
	// The Go runtime ends with status 2 and says why on stderr, and so do
	// os.Exit(2) and log.Fatal's kin, which do not.
	for line := range strings.Lines(d.Stderr) {
		fatal := strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "runtime:")
		if fatal && (strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory")) {
			return ReasonOutOfMemory
		}
	}
	for line := range strings.Lines(d.Stderr) {
		if crew.BeginsCrash(line) {
			return ReasonFatal
		}
	}
	return ReasonExit
}
