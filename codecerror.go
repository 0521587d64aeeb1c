package mp

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
)

// A CodecError is the error of a task whose argument or result could not be encoded or
// decoded, and of elements and messages. Ask for it with errors.As; errors.Is finds the
// cause as well, [ErrClosed] of an object in an argument for instance. A task whose
// argument could not be was not run; one whose result could not be was.
type CodecError struct {
	Func  string // the function's name; "" for what is no task's
	What  string // "argument", "result", "element" of a queue or "message" of a connection
	Doing string // "encoded" or "decoded"
	Text  string // why, in one line unless a marshaller's error has several
	Stack string // of a panic in a marshaller; "" if there was none
}

func (e *CodecError) Error() string {
	if e.Func == "" {
		return fmt.Sprintf("mp: the %s cannot be %s: %s", e.What, e.Doing, e.Text)
	}
	return fmt.Sprintf("mp: the %s of %s cannot be %s: %s", e.What, e.Func, e.Doing, e.Text)
}

// codecError is a CodecError with its cause, which errors.Is finds in this process.
func codecError(function, what, doing string, why error) error {
	return cause.With(&CodecError{function, what, doing, why.Error(), codec.StackOf(why)}, why)
}
