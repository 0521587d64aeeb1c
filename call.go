package mp

import "context"

// Call runs f with arg on ex and returns its result, after a round trip of 10
// to 20 µs if a worker is idle.
//
// The error is the task's own, as far as errors.Is and errors.As see (see
// [RegisterError]), or [ErrClosed], or one in which errors.As finds a [*PanicError],
// [*WorkerError], [*CodecError] or [*StartError]. When ctx ends, the task's context is cancelled;
// a task that ignores it for the pool's grace, a quarter of a second as a rule, is
// killed with its worker, and its error is a WorkerError with the stacks of the
// worker's goroutines; one that returns a result until then has succeeded. Call
// returns when the task has ended, in either way. [Timeout] and [Retries] are
// options.
func Call[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], arg In, opts ...CallOption) (Out, error) {
	var none Out
	h, err := hintsOf(ctx, Hints{Prompt: true}, opts)
	if err != nil {
		return none, err
	}
	s, err := newSubmission(f, arg)
	if err == nil && ex == nil {
		err = errNoExecutor
	}
	if err == nil {
		err = ex.Execute(ctx, f.id, s, h)
	}
	if err != nil {
		s.sent.recall(0)
		return none, err
	}
	return s.future.Result(context.WithoutCancel(ctx))
}
