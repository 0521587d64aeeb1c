package mp

import (
	"context"
)

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

// Submit hands f with arg to ex and returns a future for its result. It does
// not wait for the task, but blocks while too many wait for a worker
// ([PoolConfig.Backlog]).
//
// The argument is encoded before Submit returns and may then be changed. The
// context governs the task's whole life, as with [Call], the time before it
// begins included: a context's deadline counts from Submit, a [Timeout] from
// the task's begin. All errors come through
// the future.
func Submit[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], arg In, opts ...CallOption) *Future[Out] {
	h, err := hintsOf(ctx, Hints{}, opts)
	if err != nil {
		return failedFuture[Out](err)
	}
	return submit(ctx, ex, f, arg, h)
}

// failedFuture is that of tasks that were not submitted.
func failedFuture[Out any](err error) *Future[Out] {
	future := &Future[Out]{}
	future.settle(err)
	return future
}

func submit[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], arg In, h Hints) *Future[Out] {
	s, err := newSubmission(f, arg)
	if err == nil && ex == nil {
		err = errNoExecutor
	}
	if err == nil {
		s.future.ex = ex
		s.future.ctx.Context = ctx
		err = ex.Execute(&s.future.ctx, f.id, s, h)
	}
	if err != nil {
		s.sent.recall(0)
		s.future.settle(err)
	}
	return &s.future
}

// submission is a batch of one element, with its future.
type submission[In, Out any] struct {
	future Future[Out]
	f      *Func[In, Out]
	arg    []byte
	small  [32]byte // arg, if it fits
	sent   sent
}

func newSubmission[In, Out any](f *Func[In, Out], arg In) (*submission[In, Out], error) {
	s := &submission[In, Out]{f: f}
	s.future.batch = s
	if f == nil {
		return s, errNoFunc
	}
	if err := functions.seal(); err != nil {
		return s, err
	}
	var err error
	if s.arg, err = f.encodeOne(s.small[:0], &arg); err == nil {
		f.note(&s.sent, s.arg, []In{arg}, 0)
	}
	return s, err
}

func (s *submission[In, Out]) Len() int { return 1 }

// Describe says what the argument is, if it can be decoded twice.
func (s *submission[In, Out]) Describe(int) string { return s.f.describe(s.arg) }

// Unrepeatable reports whether the task must not be retried.
func (s *submission[In, Out]) Unrepeatable(int) bool { return s.sent.moved(0) }

func (s *submission[In, Out]) Encode(buf []byte, _, _ int) ([]byte, int, error) {
	return append(buf, s.arg...), 1, nil
}

// Encoded is what Encode appends; see crew.Encoded.
func (s *submission[In, Out]) Encoded() []byte { return s.arg }

func (s *submission[In, Out]) Settle(_ int, result []byte, err error) {
	s.arg = nil
	s.f.settled(&s.sent, 0)
	if err == nil {
		err = s.receive(result, false)
	}
	s.future.settle(err)
}

// SettleRun is Settle for a result; see crew.RunSettler.
func (s *submission[In, Out]) SettleRun(_ int, results [][]byte) {
	s.arg = nil
	s.f.settled(&s.sent, 0)
	s.future.settle(s.receive(results[0], true))
}

// receive decodes the result.
func (s *submission[In, Out]) receive(data []byte, keep bool) error {
	r, err := s.f.receive(data, &s.future.value, keep)
	if r != nil {
		keepFor(&s.future, r)
	}
	return err
}
