package mp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/pool"
)

// A WorkerError is the error of the task that was running when its worker died. Any part of the
// task's effects may have occurred. The pool replaces the worker. No other task is affected, with
// one exception. If the worker overwrote the memory that it shares with this process, the record of
// started tasks may be lost. Then all tasks that the worker had received but not finished end with
// this error, with [ReasonCorrupt]. None of them runs twice.
type WorkerError struct {
	Worker   int            // the worker's number in the pool, from 1; 1 for a [Process]
	Process  string         // the name of a [Process]; "" for a worker of a pool
	PID      int            // the process ID of the dead worker
	Func     string         // the name of the task's function
	Reason   Reason         // why the worker died
	ExitCode int            // -1 if a signal ended the worker, or with ReasonUnknown
	Signal   syscall.Signal // the signal that ended the worker; 0 if none did

	// Stderr is the beginning of a crash report and the end of the worker's standard error, at most
	// 8 KiB.
	Stderr string

	// Stacks holds the stacks of the worker's goroutines, up to 64 KiB, if mp killed the worker
	// because the task ignored its context. It is "" if the worker did not respond.
	Stacks string

	// Cause is the reason why mp killed the worker; nil if mp did not.
	Cause error
}

// Error says how the worker died, and appends the line of its standard error that tells most.
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

// Unwrap returns Cause, which is the context's error if mp killed the worker because of it.
func (e *WorkerError) Unwrap() error { return e.Cause }

// A Reason says why a worker died, as far as that is known.
type Reason string

// Reasons.
const (
	// ReasonExit means that the worker called os.Exit.
	ReasonExit Reason = "exit"

	// ReasonFatal means that the Go runtime ended the worker: because of a panic outside the task's
	// goroutine, a fatal error, or a crash in C on a thread that Go created. With GOTRACEBACK=crash
	// the runtime uses SIGABRT.
	ReasonFatal Reason = "fatal error"

	// ReasonOutOfMemory means that the worker needed more memory than was available or than its
	// limit. Under a limit without Limits.Cgroup, ReasonFatal can mean the same.
	ReasonOutOfMemory Reason = "out of memory"

	// ReasonSignal means that a signal ended the worker. A crash in C on a thread that C created
	// counts as well.
	ReasonSignal Reason = "signal"

	// ReasonCancelled means that mp killed the worker because its task ignored that its context was
	// cancelled.
	ReasonCancelled Reason = "cancelled"

	// ReasonDeadline means that mp killed the worker because its task ignored a deadline or
	// timeout.
	ReasonDeadline Reason = "deadline"

	// ReasonCorrupt means that the worker violated mp's protocol, overwrote the memory that it
	// shares with this process, or read nothing while its send queue was full. mp killed the
	// worker, or the worker died at that moment.
	ReasonCorrupt Reason = "corrupt"

	// ReasonUnknown means that the worker's exit status is lost, because other code in this program
	// reaps children or SIGCHLD is ignored. On Linux 6.15 and later the status is not lost.
	ReasonUnknown Reason = "unknown"
)

func (e *WorkerError) task() string {
	if e.Func == "" {
		return "a task"
	}
	return e.Func
}

// firstWords returns the first line of a crash report, or the last line that is not blank.
func firstWords(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if pool.BeginsCrash(line) {
			return line
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// workerError translates a Death and finds the reason for it.
func workerError(d *pool.Death) *WorkerError {
	return &WorkerError{
		Worker: d.Worker, Process: d.Single, PID: d.PID, Func: d.Func, Reason: reasonOf(d),
		ExitCode: d.Status.ExitCode, Signal: d.Status.Signal,
		Stderr: d.Stderr, Stacks: d.Stacks, Cause: causeOf(d),
	}
}

// causeOf returns why mp killed the worker, and adds errStuck if the process has not ended.
func causeOf(d *pool.Death) error {
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

func reasonOf(d *pool.Death) Reason {
	switch {
	case errors.Is(d.Cause, context.DeadlineExceeded):
		return ReasonDeadline
	case errors.Is(d.Cause, pool.ErrMemory):
		return ReasonOutOfMemory
	case errors.Is(d.Cause, pool.ErrProtocol):
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

// reported returns the reason that the Go runtime gave on stderr, or "" if it gave none or did not
// end the process. The runtime ends a process with status 2, or by SIGABRT if GOTRACEBACK or
// debug.SetTraceback is "crash". os.Exit(2) and a signal from another process end it the same way,
// but report nothing.
func reported(d *pool.Death) Reason {
	if d.Status.ExitCode != 2 && !d.Status.Lost && d.Status.Signal != syscall.SIGABRT && !isFault(d.Status.Signal) {
		return ""
	}

	reason := Reason("")
	for line := range strings.Lines(d.Stderr) {
		switch {
		case pool.BeginsOutOfMemory(line):
			return ReasonOutOfMemory
		case isFault(d.Status.Signal) && strings.HasPrefix(line, "panic:"):
			// A program may log such a line and go on.
		case pool.BeginsCrash(line):
			reason = ReasonFatal
		}
	}

	if reason == ReasonFatal && d.Starved {
		return ReasonOutOfMemory
	}
	return reason
}

// isFault reports whether s is the signal of a fault. A fault can end the Go runtime while it
// reports a crash.
func isFault(s syscall.Signal) bool {
	return s == syscall.SIGSEGV || s == syscall.SIGBUS || s == syscall.SIGILL || s == syscall.SIGFPE || s == syscall.SIGTRAP
}
