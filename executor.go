package mp

import (
	"context"
	"math"
	"time"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// An Executor runs tasks. [Call], [Submit], [Map], [Stream] and their variants work with any
// Executor: a [Pool] runs tasks in worker processes, an [Inline] in this process. Package mptest
// has a test suite for other implementations.
type Executor interface {
	// Execute runs the tasks of a batch: each calls the registered function of the given name with
	// one element. Execute settles each element exactly once. It may return before any task has
	// started, and blocks while too many tasks are waiting. If it returns an error, it runs and
	// settles none of them.
	//
	// When ctx ends, tasks that have not started are settled with its cause, and the contexts of
	// running tasks are cancelled.
	Execute(ctx context.Context, function string, b Batch, h Hints) error
}

// ready returns an error if ex cannot run tasks of f.
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

// A Batch is a sequence of calls of one function, with one element for each call. Executors call
// its methods, from any goroutine. Settle may be called concurrently for different elements. Slices
// passed to the methods are valid only until the methods return.
type Batch interface {
	// Len returns the number of elements.
	Len() int

	// Encode appends the encoded elements lo to hi-1 to buf. Each is preceded by its length in four
	// bytes, little-endian. Encode stops before the first element that does not fit into the
	// capacity of buf, but appends element lo even if it does not fit. It returns the number n of
	// elements appended, and an error if element lo+n cannot be encoded.
	Encode(buf []byte, lo, hi int) (out []byte, n int, err error)

	// Settle reports the outcome of element i, an encoded result or an error, to the caller. It
	// runs on a goroutine that also serves other tasks, so it must not block, panic or close the
	// executor.
	Settle(i int, result []byte, err error)
}

// Hints tell an [Executor] how to run a batch. The zero value is valid.
type Hints struct {
	// Chunk is how many elements are sent to a worker together; see [ChunkSize]. Defaults to the
	// executor's choice.
	Chunk int

	// Prompt says that the caller waits for each result, so the executor should deliver results at
	// once instead of together.
	Prompt bool

	// Timeout is how long each task may run; see [Timeout]. [NoTimeout] means without limit.
	// Defaults to the executor's own limit.
	Timeout time.Duration

	// Retries is how often a task whose worker died may run again; see [Retries].
	Retries int

	// Baggage is the encoded [Baggage] that each task carries.
	Baggage string
}

// NoTimeout is the value of [Hints.Timeout] for tasks without a time limit.
const NoTimeout time.Duration = math.MinInt64
