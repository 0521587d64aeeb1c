package mp

import (
	"fmt"
	"strings"

	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// A PanicError is the error of a task that panicked. The worker goes on. The value's text
// and the stack are cut at 256 KiB each, and a text that is cut ends in a note. A value that
// is an error has the bounds of errors, see [RegisterError].
type PanicError struct {
	Func  string // the name of the function
	Value any    // the value's text, or the error if it was one, as far as errors travel; a runtime.Error arrives as an error with its text
	Stack string // of the panicking goroutine in the worker
}

// Error returns the panic's value on one line; the stack is in Stack.
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

func panicError(function string, data []byte) error {
	p, err := runner.ParsePanic(data)
	if err != nil {
		return fmt.Errorf("mp: a panic that cannot be decoded: %w", err)
	}
	e := &PanicError{Func: function, Value: p.Text, Stack: p.Stack}
	if p.Err != nil {
		e.Value = errtree.Decode(p.Err)
	}
	return e
}
