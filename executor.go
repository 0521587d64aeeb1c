package mp

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// An Executor is a place where tasks run. [Call], [Submit], [Map], [Stream] and
// their kin work with any: [Pool] runs tasks in worker processes, [Inline] in
// this process. The suite in package mptest holds an implementation to what
// callers rely on.
type Executor interface {
	// Execute takes over the tasks of a batch, calls of the registered
	// function of that name, and sees to it that each is settled exactly once.
	// It may return before any has begun, and blocks while too many tasks
	// wait. With an error it has taken none and settles none.
	//
	// The context governs the tasks: when it ends, those that have not begun
	// are settled with its cause, and those that run have their own contexts
	// cancelled.
	Execute(ctx context.Context, function string, b Batch, h Hints) error
}

// ready says why tasks of f cannot be handed to ex at all.
func ready[In, Out any](ex Executor, f *Func[In, Out]) error {
	switch {
	case ex == nil:
		return errNoExecutor
	case f == nil:
		return errNoFunc
	}
	return functions.seal()
}

const elementHead = codec.HeadSize
