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
	ExitCode int            // -1 if a signal ended it, or with ReasonUnknown
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
	case e.Reason == ReasonUnknown:
		b.WriteString(", its exit status is lost")
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
	ReasonFatal       Reason = "fatal error"   // the Go runtime ended it: a panic outside the task's goroutine, a fatal error, a crash in C on a thread of Go's; with GOTRACEBACK=crash by SIGABRT
	ReasonOutOfMemory Reason = "out of memory" // it needed more memory than there was, or than its limit; under a limit without Limits.Cgroup, ReasonFatal may mean that too
	ReasonSignal      Reason = "signal"        // a signal ended it; so does a crash in C on a thread of C's
	ReasonCancelled   Reason = "cancelled"     // mp killed it: the task ignored that its context was cancelled
	ReasonDeadline    Reason = "deadline"      // the same, at a deadline
	ReasonCorrupt     Reason = "corrupt"       // it broke mp's protocol, overwrote the memory it shares with this process, or read nothing while its send queue was full: mp killed it, or it died just then
	ReasonUnknown     Reason = "unknown"       // its exit status is lost: something else in this program reaps children, or SIGCHLD is ignored; on Linux 6.15 and later it is not lost
)

// workerError tells from a worker's status and last words why it died.
func workerError(d *crew.Death) *WorkerError {
	return &WorkerError{
		Worker: d.Worker, Process: d.Single, PID: d.PID, Func: d.Func, Reason: reasonOf(d),
		ExitCode: d.Status.ExitCode, Signal: d.Status.Signal,
		Stderr: d.Stderr, Stacks: d.Stacks, Cause: causeOf(d),
	}
}

// causeOf also says that the process is still there.
func causeOf(d *crew.Death) error {
	switch {
	case !d.Status.Stuck:
		return d.Cause
	case d.Cause == nil:
		return errStuck
	default:
		return fmt.Errorf("%w; %w", d.Cause, errStuck)
	}
}

var errStuck = errors.New("SIGKILL has not ended it: it waits in the kernel, or is another user's")

func reasonOf(d *crew.Death) Reason {
	switch {
	case errors.Is(d.Cause, context.DeadlineExceeded):
		return ReasonDeadline
	case errors.Is(d.Cause, crew.ErrMemory):
		return ReasonOutOfMemory
	case errors.Is(d.Cause, crew.ErrCorrupt):
		return ReasonCorrupt
	case d.Cause != nil:
		return ReasonCancelled
	case d.Status.OOM:
		return ReasonOutOfMemory
	}
	if r := reported(d); r != "" {
		return r
	}
	switch {
	case d.Status.Lost:
		return ReasonUnknown
	case d.Status.Signal != 0:
		return ReasonSignal
	}
	return ReasonExit
}

// reported is the reason that the Go runtime gave on stderr; "" if it gave none, or did
// not end the process. It ends with status 2, or by SIGABRT if GOTRACEBACK or
// debug.SetTraceback say "crash". So do os.Exit(2), and a signal that somebody sends,
// but they report nothing.
func reported(d *crew.Death) Reason {
	if d.Status.ExitCode != 2 && !d.Status.Lost && d.Status.Signal != syscall.SIGABRT && !isFault(d.Status.Signal) {
		return ""
	}
	reason := Reason("")
	for line := range strings.Lines(d.Stderr) {
		switch {
		case crew.BeginsOutOfMemory(line):
			return ReasonOutOfMemory
		case isFault(d.Status.Signal) && strings.HasPrefix(line, "panic:"):
			// A program may log that and live on.
		case crew.BeginsCrash(line):
			reason = ReasonFatal
		}
	}
	if reason == ReasonFatal && d.Starved {
		return ReasonOutOfMemory
	}
	return reason
}

// isFault reports whether a signal ends the Go runtime that faults while it reports a crash.
func isFault(s syscall.Signal) bool {
	return s == syscall.SIGSEGV || s == syscall.SIGBUS || s == syscall.SIGILL || s == syscall.SIGFPE || s == syscall.SIGTRAP
}
