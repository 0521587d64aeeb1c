package mp

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/crew"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// ErrClosed is the error of whatever was asked of something closed, and of the
// tasks that a closed pool did not finish.
var ErrClosed = crew.ErrClosed

// ErrGoexit is the error of a task that called runtime.Goexit (as t.FailNow
// does) instead of returning. Its worker goes on.
var ErrGoexit = errors.New("mp: the task called runtime.Goexit: return an error instead")

func init() {
	for name, err := range map[string]error{
		"mp.ErrClosed": ErrClosed, "mp.ErrGoexit": ErrGoexit, "mp.ErrNotInitialized": ErrNotInitialized,
		"mp.ErrOwnerDied": ErrOwnerDied, "mp.ErrNotHeld": ErrNotHeld, "mp.ErrBroken": ErrBroken, "mp.ErrOverRelease": ErrOverRelease,
		"mp.ErrFull": ErrFull, "mp.ErrEmpty": ErrEmpty, "mp.ErrMoved": ErrMoved, "mp.ErrDirection": ErrDirection,
	} {
		if bad := errtree.RegisterSentinel(name, err); bad != nil {
			panic(bad)
		}
	}
	type start struct {
		Worker          int
		Process, Stderr string
	}
	for _, bad := range []error{
		errtree.RegisterType[*CodecError](),
		errtree.RegisterWrapper(
			func(e *WorkerError) WorkerError { c := *e; c.Cause = nil; return c },
			func(p WorkerError, cause error) *WorkerError { p.Cause = cause; return &p }),
		errtree.RegisterWrapper(
			func(e *StartError) start { return start{e.Worker, e.Process, e.Stderr} },
			func(p start, err error) *StartError { return &StartError{p.Worker, p.Process, p.Stderr, err} }),
		errtree.RegisterWrapper(
			func(e *ElementError) int { return e.Index },
			func(i int, err error) *ElementError { return &ElementError{i, err} }),
		errtree.RegisterWrapper(
			func(e *PanicError) [2]string { return [2]string{fmt.Sprint(e.Value), e.Stack} },
			func(p [2]string, err error) *PanicError {
				if err != nil {
					return &PanicError{err, p[1]}
				}
				return &PanicError{p[0], p[1]}
			}),
	} {
		if bad != nil {
			panic(bad)
		}
	}
}

// A PanicError is the error of a task that panicked. The worker goes on.
type PanicError struct {
	Value any    // the value's text, or the error if it was one, as far as errors travel
	Stack string // of the panicking goroutine in the worker
}

// Error returns the panic's value on one line; the stack is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("mp: panic in a task: %v", e.Value) }

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A CodecError is the error of a task whose argument or result could not be
// encoded or decoded, and of elements and messages. Ask for it with errors.As; errors.Is finds
// the cause as well, [ErrClosed] of an object in an argument for instance. A task whose argument could not be was not run; one whose
// result could not be was.
type CodecError struct {
	Func  string // the function's name; "" for what is no task's
	What  string // "argument", "result", "element" of a queue or "message" of a connection
	Doing string // "encoded" or "decoded"
	Text  string // why
}

func (e *CodecError) Error() string {
	if e.Func == "" {
		return fmt.Sprintf("mp: the %s cannot be %s: %s", e.What, e.Doing, e.Text)
	}
	return fmt.Sprintf("mp: the %s of %s cannot be %s: %s", e.What, e.Func, e.Doing, e.Text)
}

// codecError is a CodecError with its cause, which errors.Is finds in this process.
func codecError(function, what, doing string, cause error) error {
	return &codecFailure{&CodecError{function, what, doing, cause.Error()}, cause}
}

type codecFailure struct {
	*CodecError
	cause error
}

// Unwrap returns the CodecError and its cause.
func (e *codecFailure) Unwrap() []error { return []error{e.CodecError, e.cause} }

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
	ReasonCorrupt     Reason = "corrupt"       // what it sent made no sense: mp killed it, or it died just then
)

// A WorkerError is the error of the task that was running when its worker died.
// The task may have had any part of its effects. The pool goes on with a
// replacement; no other task is affected, unless the worker wrote over the memory
// that it shares with this process: nobody knows then what it had begun, so all
// tasks that it had been sent and whose results were not there yet end with this
// error, with [ReasonCorrupt], and none is run twice.
type WorkerError struct {
	Worker   int            // its number in the pool, from 1; 1 for a [Process]
	Process  string         // the name of a [Process]; "" for a worker of a pool
	PID      int            // of the dead process
	Reason   Reason         // why it died
	ExitCode int            // -1 if a signal ended it
	Signal   syscall.Signal // 0 if none did
	Stderr   string         // the beginning of a crash report and the end of what it wrote there, at most 8 KiB
	Stacks   string         // of its goroutines when mp killed it for a task that ignored its context, at most 64 KiB; "" if it did not answer
	Cause    error          `cbor:"-"` // what made mp kill it; nil if it did not
}

// Error says how the worker died and what its last words were.
func (e *WorkerError) Error() string {
	var b strings.Builder
	if e.Process != "" {
		fmt.Fprintf(&b, "mp: the process %s (pid %d) died: %s", e.Process, e.PID, e.Reason)
	} else {
		fmt.Fprintf(&b, "mp: worker %d (pid %d) died while running the task: %s", e.Worker, e.PID, e.Reason)
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

// A StartError says why a pool has no workers: they could not be started, or
// their setup failed, several times in a row. The pool stays broken, and every task
// gets this error, until [Pool.Resize] tries again.
type StartError struct {
	Worker  int    // its number in the pool, from 1
	Process string // the name of a [Process]; "" for a worker of a pool
	Stderr  string // the end of what the last attempt wrote there
	Err     error  // why
}

func (e *StartError) Error() string {
	if e.Process != "" {
		return fmt.Sprintf("mp: the process %s cannot be started: %v", e.Process, e.Err)
	}
	return fmt.Sprintf("mp: worker %d cannot be started: %v", e.Worker, e.Err)
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// An ElementError is the error of one element of a [Map].
type ElementError struct {
	Index int
	Err   error
}

func (e *ElementError) Error() string { return fmt.Sprintf("element %d: %v", e.Index, e.Err) }

// Unwrap returns the element's own error.
func (e *ElementError) Unwrap() error { return e.Err }

// ElementErrors are the errors of all elements of a [Map] that failed, in order.
type ElementErrors []*ElementError

// Error gives the number of errors and the first.
func (e ElementErrors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%d elements failed, the first: %v", len(e), e[0])
}

// Unwrap returns all of them.
func (e ElementErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i := range e {
		errs[i] = e[i]
	}
	return errs
}

// outcomeError translates how a task ended, as package runner tells it; nil if
// it returned a result.
func outcomeError(kind uint8, data []byte) error {
	switch kind {
	case runner.OK:
		return nil
	case runner.Failed:
		return errtree.Decode(data)
	case runner.Panicked:
		return panicError(data)
	case runner.Exited:
		return ErrGoexit
	}
	return fmt.Errorf("mp: a task ended in the unknown way %d", kind)
}

func panicError(data []byte) error {
	p, err := runner.ParsePanic(data)
	if err != nil {
		return fmt.Errorf("mp: a panic that cannot be decoded: %w", err)
	}
	e := &PanicError{Value: p.Text, Stack: p.Stack}
	if p.Err != nil {
		e.Value = errtree.Decode(p.Err)
	}
	return e
}

// translate turns the crew's errors into the exported ones.
func translate(err error) error {
	var death *crew.Death
	var start *crew.StartError
	switch {
	case errors.As(err, &start):
		return &StartError{Worker: start.Worker, Process: start.Single, Stderr: start.Last.Stderr, Err: start.Err}
	case errors.As(err, &death):
		return workerError(death)
	}
	return err
}
