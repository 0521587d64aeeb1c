package mp

import (
	"context"
	"math"
	"time"

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

// A Batch is a number of calls of one function. Its methods may be called from
// any goroutine, Settle for different elements at once; what they are given is
// valid only until they return.
type Batch interface {
	// Len is the number of elements.
	Len() int

	// Encode appends elements lo, lo+1, … to buf, each as its length in four
	// bytes, little-endian, and its bytes. It stops before hi once they no
	// longer fit into buf's capacity; only the first may be larger. It returns
	// how many it appended, and why element lo+n could not be encoded.
	Encode(buf []byte, lo, hi int) (out []byte, n int, err error)

	// Settle hands over the outcome of element i: its encoded result or an
	// error. It is called on a goroutine that serves other tasks too, and must
	// not block, panic or close the executor.
	Settle(i int, result []byte, err error)
}

// Hints are what a caller knows about a batch. The zero value is fine.
type Hints struct {
	// Chunk is how many elements travel together; 0 lets the executor choose.
	Chunk int
	// Prompt says that somebody waits for each result, so that it is better
	// delivered at once than together with others.
	Prompt bool
	// Timeout is how long each task may run, see [Timeout]; 0 leaves that to
	// the executor, NoTimeout means without limit.
	Timeout time.Duration
	// Retries is how often a task may be run again whose worker died.
	Retries int
	// Baggage goes along with each task, for functions registered with
	// [RegisterBaggage]; it makes sense only to those.
	Baggage string
}

// NoTimeout is the [Hints].Timeout of tasks that may run for ever.
const NoTimeout time.Duration = math.MinInt64
