package mp

import (
	"context"
)

// Call runs f with arg on ex and returns its result. A round trip takes 10 to 20 µs if a worker is
// idle.
//
// The error is the one that the task returned, in which errors.Is and errors.As find what
// [RegisterError] describes. Otherwise it is [ErrClosed], ctx's error if the task has not started,
// or an error in which errors.As finds a [*PanicError], [*WorkerError], [*CodecError] or
// [*StartError].
//
// When ctx ends, the task's context is cancelled. If the task does not return within the pool's
// grace period, 250 ms unless [PoolConfig.Grace] is set, mp kills its worker, and the error is a
// WorkerError with the stacks of the worker's goroutines. A task that returns a result within the
// grace period has succeeded. In each case, Call returns only when the task has ended.
//
// The options are [Timeout] and [Retries].
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

// Submit starts f with arg on ex and returns a [Future] of its result. It does not wait for the
// task, but blocks while too many tasks wait for a worker; see [PoolConfig.Backlog]. Submit encodes
// arg before it returns; the caller may then change it. The Future reports all errors.
//
// As with [Call], the end of ctx cancels the task, even before the task starts. A deadline of ctx
// includes the time for which the task waits; a [Timeout] begins when the task starts.
func Submit[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], arg In, opts ...CallOption) *Future[Out] {
	h, err := hintsOf(ctx, Hints{}, opts)
	if err != nil {
		return failedFuture[Out](err)
	}
	return submit(ctx, ex, f, arg, h)
}

// failedFuture returns the future of a task that was not submitted because of err.
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

// A submission is a batch of one element, with its future.
type submission[In, Out any] struct {
	future Future[Out]
	f      *Func[In, Out]
	arg    []byte
	small  [32]byte // holds a short arg, to save an allocation
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

// Describe describes the argument; see Func.describe.
func (s *submission[In, Out]) Describe(int) string { return s.f.describe(s.arg) }

// Unrepeatable reports whether the task must not be retried.
func (s *submission[In, Out]) Unrepeatable(int) bool { return s.sent.moved(0) }

func (s *submission[In, Out]) Encode(buf []byte, _, _ int) ([]byte, int, error) {
	return append(buf, s.arg...), 1, nil
}

// Encoded returns the bytes that Encode appends; see pool.Encoded.
func (s *submission[In, Out]) Encoded() []byte { return s.arg }

func (s *submission[In, Out]) Settle(_ int, result []byte, err error) {
	s.arg = nil
	s.f.settled(&s.sent, 0)
	if err == nil {
		err = s.receive(result, false)
	}
	s.future.settle(err)
}

// SettleRun is Settle for a result; see pool.RunSettler.
func (s *submission[In, Out]) SettleRun(_ int, results [][]byte) {
	s.arg = nil
	s.f.settled(&s.sent, 0)
	s.future.settle(s.receive(results[0], true))
}

// receive decodes the result. With keep, the decoded value may refer to the memory of data.
func (s *submission[In, Out]) receive(data []byte, keep bool) error {
	r, err := s.f.receive(data, &s.future.value, keep)
	if r != nil {
		keepFor(&s.future, r)
	}
	return err
}
