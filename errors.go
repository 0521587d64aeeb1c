package mp

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/task"
)

// ErrClosed is returned by operations on something that was closed. It is also the error of tasks
// that a closed pool did not finish. A shared object that another process has overwritten can
// return it as well, see ipc.ErrCorrupt.
var ErrClosed = errs.ErrClosed

// ErrNotInitialized is returned by functions that start a process if the program has not called
// [Init]. No process was started.
var ErrNotInitialized = errors.New("mp: not initialized: call mp.Init first thing in main, or in TestMain (mptest.Main does)")

// ErrGoexit is the error of a task that called runtime.Goexit, as t.FailNow does, instead of
// returning. Its worker keeps running.
var ErrGoexit = errors.New("mp: the task called runtime.Goexit: return an error instead")

// ErrRunning is returned by [Process.Close] if the process has not ended.
var ErrRunning = errors.New("mp: the process is running: end it with Terminate or Kill, or Wait for it")

// ErrTooLong is the cause of the [*CodecError] for an argument or a result longer than
// [PoolConfig].MaxMessage. An argument that is too long is not sent. A result that is too long is
// not returned, although its task has run. In package ipc, ErrTooLong is this error. Package
// connection has a different ErrTooLong.
var ErrTooLong = objects.ErrTooLong

// A CodecError is the error of a task whose argument or result could not be encoded or decoded.
// Elements of queues and messages of connections have it too. Check for it with errors.As.
// errors.Is also finds the cause, such as [ErrClosed] for an argument that contains a closed
// object. If the argument was at fault, the task did not run; if the result was, the task did run.
type CodecError struct {
	Func  string // the function's name; "" for an element or a message
	What  string // "argument", "result", "element" (of a queue) or "message" (of a connection)
	Doing string // "encoded" or "decoded"
	Text  string // the reason, on one line unless a marshaller's error has several
	Stack string // the stack of a panic in a marshaller; "" if there was no panic
}

func (e *CodecError) Error() string {
	if e.Func == "" {
		return fmt.Sprintf("mp: the %s cannot be %s: %s", e.What, e.Doing, e.Text)
	}
	return fmt.Sprintf("mp: the %s of %s cannot be %s: %s", e.What, e.Func, e.Doing, e.Text)
}

// An ElementError is the error of one element of a [Map].
type ElementError struct {
	Index int
	Err   error
}

func (e *ElementError) Error() string { return fmt.Sprintf("element %d: %v", e.Index, e.Err) }

// Unwrap returns the element's own error.
func (e *ElementError) Unwrap() error { return e.Err }

// ElementErrors holds the errors of all elements of a [Map] that failed, in input order.
type ElementErrors []*ElementError

// Error returns the number of errors and the text of the first, or only the text if there is one
// error.
func (e ElementErrors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%d elements failed, the first: %v", len(e), e[0])
}

// Unwrap returns all errors.
func (e ElementErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i := range e {
		errs[i] = e[i]
	}
	return errs
}

// A PanicError is the error of a task that panicked. The worker keeps running. The text of the
// panic's value and the stack are limited to 256 KiB each; a truncated text ends with a note. A
// value that is an error has the limits of other errors, see [RegisterError].
type PanicError struct {
	// Func is the name of the function.
	Func string

	// Value is the text of the panic's value. If the value was an error, Value is that error, as
	// [RegisterError] describes. A runtime.Error arrives as an error with the same text.
	Value any

	// Stack is the stack of the panicking goroutine in the worker.
	Stack string
}

// Error returns the panic's value on one line. It omits the stack.
func (e *PanicError) Error() string {
	function := e.Func
	if function == "" {
		function = "a task"
	}
	value, rest, _ := strings.Cut(strings.TrimSpace(fmt.Sprint(e.Value)), "\n")
	if rest != "" {
		value += " …"
	}
	return fmt.Sprintf("mp: panic in %s: %s", function, value)
}

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A StartError says why a pool has no workers: they could not be started, or their Setup failed,
// several times in a row. Every task fails at once with this error until a worker serves again. If
// no worker has ever served, only [Pool.Resize] makes the pool try again; see [Restart].
type StartError struct {
	Worker  int    // the worker's number in the pool, from 1
	Process string // the name of a [Process]; "" for a worker of a pool
	Stderr  string // the end of the last attempt's standard error
	Err     error  // the reason
}

func (e *StartError) Error() string {
	if e.Process != "" {
		return fmt.Sprintf("mp: the process %s cannot be started: %v", e.Process, e.Err)
	}
	return fmt.Sprintf("mp: worker %d cannot be started: %v", e.Worker, e.Err)
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// The errors of methods on nil, and on the zero value of a type that has a constructor.
var (
	errNoExecutor = errors.New("mp: the Executor is nil: NewPool makes one, unless it returns an error")
	errNoPool     = errors.New("mp: a Pool that NewPool has not made: NewPool may have returned an error")
	errNoInline   = errors.New("mp: an Inline that NewInline has not made: NewInline may have returned an error")
	errNoProcess  = errors.New("mp: a Process that NewProcess has not made: NewProcess may have returned an error")
	errNoFunc     = errors.New("mp: the function is nil: Register makes one")
)

func init() {
	for name, err := range map[string]error{
		"mp.ErrClosed": ErrClosed, "mp.ErrRunning": ErrRunning, "mp.ErrGoexit": ErrGoexit, "mp.ErrNotInitialized": ErrNotInitialized, "mp.ErrTooLong": ErrTooLong,
	} {
		if bad := errtree.RegisterSentinel(name, err); bad != nil {
			panic(bad)
		}
	}

	type start struct {
		Worker          int
		Process, Stderr string
	}

	type died struct {
		Worker         int
		Process        string
		PID            int
		Func           string
		Reason         Reason
		ExitCode       int
		Signal         syscall.Signal
		Stderr, Stacks string
	}
	type panicked struct{ Func, Value, Stack string }

	for _, bad := range []error{
		errtree.RegisterType[*CodecError](),
		errtree.RegisterWrapper(
			func(e *WorkerError) died {
				return died{e.Worker, e.Process, e.PID, e.Func, e.Reason, e.ExitCode, e.Signal, e.Stderr, e.Stacks}
			},
			func(p died, cause error) *WorkerError {
				return &WorkerError{p.Worker, p.Process, p.PID, p.Func, p.Reason, p.ExitCode, p.Signal, p.Stderr, p.Stacks, cause}
			}),
		errtree.RegisterWrapper(
			func(e *StartError) start { return start{e.Worker, e.Process, e.Stderr} },
			func(p start, err error) *StartError { return &StartError{p.Worker, p.Process, p.Stderr, err} }),
		errtree.RegisterWrapper(
			func(e *ElementError) int { return e.Index },
			func(i int, err error) *ElementError { return &ElementError{i, err} }),
		errtree.RegisterWrapper(
			func(e *PanicError) panicked { return panicked{e.Func, fmt.Sprint(e.Value), e.Stack} },
			func(p panicked, err error) *PanicError {
				if err != nil {
					return &PanicError{p.Func, err, p.Stack}
				}
				return &PanicError{p.Func, p.Value, p.Stack}
			}),
	} {
		if bad != nil {
			panic(bad)
		}
	}
}

// outcomeError translates the outcome of a task, encoded as package task does. It returns nil if
// the task returned a result.
func outcomeError(function string, kind uint8, data []byte) error {
	switch kind {
	case task.OK:
		return nil
	case task.Failed:
		return errtree.Decode(data)
	case task.Panicked:
		return panicError(function, data)
	case task.Exited:
		return ErrGoexit
	}
	return fmt.Errorf("mp: a task ended in the unknown way %d", kind)
}

// translate turns errors of package pool into exported ones.
func translate(err error) error {
	var death *pool.Death
	var start *pool.StartError
	switch {
	case errors.As(err, &start):
		return &StartError{Worker: start.Worker, Process: start.Single, Stderr: start.Last.Stderr, Err: start.Err}
	case errors.As(err, &death):
		return workerError(death)
	}
	return err
}

// isNil reports whether an interface is nil or holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

func overMaxMessage(n, most int) error {
	return fmt.Errorf("%w: %d bytes, and MaxMessage is %d", ErrTooLong, n, most)
}

// codecError returns a CodecError with its cause, which errors.Is finds in another process only if
// the cause is registered.
func codecError(function, what, doing string, why error) error {
	return cause.With(&CodecError{function, what, doing, why.Error(), codec.StackOf(why)}, why)
}

func panicError(function string, data []byte) error {
	p, err := task.ParsePanic(data)
	if err != nil {
		return fmt.Errorf("mp: a panic that cannot be decoded: %w", err)
	}
	e := &PanicError{Func: function, Value: p.Text, Stack: p.Stack}
	if p.Err != nil {
		e.Value = errtree.Decode(p.Err)
	}
	return e
}
