package mp

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/crew"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/runner"
	"github.com/go-multiprocessing/mp/internal/share"
)

// ErrClosed is returned by operations on something that was closed. It is also the error of the
// tasks that a closed pool did not finish. A shared object that another process has
// overwritten can return it as well, see .ErrCorrupt.
var ErrClosed = errs.ErrClosed

// ErrNotInitialized is returned by everything that would start a process in a
// program that has not called [Init]. No process was started.
var ErrNotInitialized = errors.New("mp: not initialized: call mp.Init first thing in main, or in TestMain (mptest.Main does)")

// ErrGoexit is the error of a task that called runtime.Goexit (as t.FailNow
// does) instead of returning. Its worker goes on.
var ErrGoexit = errors.New("mp: the task called runtime.Goexit: return an error instead")

// The errors of nil, and of the zero value of a type that has a constructor.
var (
	errNoExecutor = errors.New("mp: the Executor is nil: NewPool makes one, unless it returns an error")
	errNoPool     = errors.New("mp: a Pool that NewPool has not made: NewPool may have returned an error")
	errNoInline   = errors.New("mp: an Inline that NewInline has not made: NewInline may have returned an error")
	errNoProcess  = errors.New("mp: a Process that NewProcess has not made: NewProcess may have returned an error")
	errNoFunc     = errors.New("mp: the function is nil: Register makes one")
)

// ErrRunning is the error of closing a process that has not ended.
var ErrRunning = errors.New("mp: the process is running: end it with Terminate or Kill, or Wait for it")

// ErrTooLong is the cause of the [*CodecError] of an argument or a result longer than
// [PoolConfig].MaxMessage. An argument that is too long is not sent. A result that is too long is not
// returned, though its task has run. Packages ipc and connection have an ErrTooLong too.
var ErrTooLong = share.ErrTooLong

func overMaxMessage(n, most int) error {
	return fmt.Errorf("%w: %d bytes, and MaxMessage is %d", ErrTooLong, n, most)
}

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

// outcomeError translates how a task of a function ended, as package runner tells it;
// nil if it returned a result.
func outcomeError(function string, kind uint8, data []byte) error {
	switch kind {
	case runner.OK:
		return nil
	case runner.Failed:
		return errtree.Decode(data)
	case runner.Panicked:
		return panicError(function, data)
	case runner.Exited:
		return ErrGoexit
	}
	return fmt.Errorf("mp: a task ended in the unknown way %d", kind)
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

// isNil reports whether an interface is nil, or holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
