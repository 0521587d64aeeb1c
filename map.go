package mp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
)

// Map runs f for each element of in on ex and returns the results in the order of in. Elements are
// sent in chunks, whose size follows from the time that elements take; see [ChunkSize]. For small
// types, an element costs about 100 ns of processor time in this process and the worker together.
// The elements of in must not change until Map returns. The options are [AllErrors], [ChunkSize],
// [OnProgress], and those of [Call].
//
// The first element that fails cancels the rest, and Map returns its error as an [*ElementError].
// With [AllErrors], Map runs all elements and returns all errors as [ElementErrors]. The slice
// always has the length of in. It holds the results of the elements that succeeded, and zero values
// for the others. Only AllErrors tells which elements succeeded.
//
// If ctx ends first, Map waits for the running tasks, as [Call] does, and returns ctx's error. With
// AllErrors, it returns ElementErrors that list the elements without a result, and errors.Is finds
// ctx's error in them.
func Map[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	m, err := newMapping(ctx, ex, f, in, opts)
	if err != nil {
		return make([]Out, len(in)), err
	}
	if err := m.begin(ex.Execute); err != nil {
		return m.out, err
	}
	return m.out, m.await(ctx)
}

// MapAsync is like [Map] but returns a [Future] of the slice and the error. It has submitted the
// tasks when it returns, so [Pool.Shutdown] waits for them. Like [Submit], it blocks while too many
// tasks wait for a worker. The elements of in must not change until the Future's result is
// available.
func MapAsync[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], in []In, opts ...MapOption) *Future[[]Out] {
	ctx, cancel := context.WithCancel(ctx)
	future := &Future[[]Out]{cancel: cancel}
	under := false
	defer func() {
		if !under {
			cancel() // also if a function given to RegisterBaggage panics
		}
	}()

	m, err := newMapping(ctx, ex, f, in, opts)
	if err == nil {
		m.inFuture = f.out.Carries()
		execute := ex.Execute
		if x, ok := ex.(*Inline); ok {
			execute = x.executeSoon // Execute would wait until the last task has started
		}
		err = m.begin(execute)
	}

	if err != nil {
		future.value = make([]Out, len(in))
		future.settle(err)
		return future
	}

	under = true
	go func() {
		defer cancel()
		err := m.await(ctx)
		if len(m.receipts) > 0 {
			keepFor(future, m.receipts...)
		}
		// The pool keeps the mapping for a while longer, but must not keep the results alive.
		future.value, m.out = m.out, nil
		future.settle(err)
	}()

	return future
}

// A mapping is a Map or MapAsync in progress.
type mapping[In, Out any] struct {
	f      *Func[In, Out]
	in     []In
	out    []Out
	opts   mapOptions
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}

	meter  *meter
	sent   sent
	left   atomic.Int64
	mu     sync.Mutex
	failed ElementErrors

	inFuture bool            // results go to a future, and may never be read
	receipts []codec.Receipt // of the results, if inFuture
}

func newMapping[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], in []In, opts []MapOption) (*mapping[In, Out], error) {
	o, err := applyOptions(ctx, opts)
	if err == nil {
		err = ready(ex, f)
	}
	meter := startMeter(o.tell, len(in))
	if err != nil {
		meter.end()
		return nil, err
	}
	m := &mapping[In, Out]{f: f, in: in, out: make([]Out, len(in)), opts: o, done: make(chan struct{}), meter: meter}
	m.left.Store(int64(len(in)))
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	return m, nil
}

// begin submits the elements. On error no element is settled.
func (m *mapping[In, Out]) begin(execute func(context.Context, string, Batch, Hints) error) error {
	begun := len(m.in) == 0
	defer func() {
		if !begun { // also if execute panics
			m.meter.end()
			m.cancel(nil)
		}
	}()
	if begun {
		return nil
	}
	err := execute(m.ctx, m.f.id, m, m.opts.hints)
	begun = err == nil
	return err
}

// await waits until all elements are settled, and returns the error of the Map.
func (m *mapping[In, Out]) await(ctx context.Context) error {
	defer m.cancel(nil)
	defer m.meter.end()
	if len(m.in) > 0 {
		<-m.done
	}
	return m.err(ctx)
}

func (m *mapping[In, Out]) Len() int { return len(m.in) }

func (m *mapping[In, Out]) Encode(buf []byte, lo, hi int) ([]byte, int, error) {
	return m.f.encodeFor(&m.sent, buf, m.in[lo:hi], lo)
}

// Describe describes element i.
func (m *mapping[In, Out]) Describe(i int) string { return summary(m.in[i]) }

// Unrepeatable reports whether element i must not be retried.
func (m *mapping[In, Out]) Unrepeatable(i int) bool { return m.sent.moved(i) }

func (m *mapping[In, Out]) Settle(i int, result []byte, err error) {
	m.f.settled(&m.sent, i)
	if err == nil {
		err = m.receive(i, result, false)
	}
	if err != nil {
		m.fail(&ElementError{i, err})
	} else {
		m.meter.add(1, nil)
	}
	if m.left.Add(-1) == 0 {
		close(m.done)
	}
}

// SettleRun is Settle for elements lo, lo+1, …, all of which have results; see pool.RunSettler.
func (m *mapping[In, Out]) SettleRun(lo int, results [][]byte) {
	m.f.settledRun(&m.sent, lo, len(results))

	good := len(results)
	bad := func(i int, err error) {
		good--
		m.fail(&ElementError{lo + i, err})
	}
	if m.inFuture {
		for i, data := range results {
			if err := m.receive(lo+i, data, true); err != nil {
				bad(i, err)
			}
		}
	} else {
		m.f.takeRun(results, m.out[lo:lo+len(results)], bad)
	}

	m.meter.add(good, nil)
	if m.left.Add(-int64(len(results))) == 0 {
		close(m.done)
	}
}

// receive decodes the result of element i. With keep, the decoded value may refer to the memory of
// data.
func (m *mapping[In, Out]) receive(i int, data []byte, keep bool) error {
	if !m.inFuture {
		return m.f.decodeOrTake(data, &m.out[i], keep)
	}
	r, err := m.f.receive(data, &m.out[i], keep)
	if r != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.receipts = append(m.receipts, r)
	}
	return err
}

// fail records the error of an element. Without AllErrors, the first error cancels the other
// elements, and fail ignores theirs.
func (m *mapping[In, Out]) fail(e *ElementError) {
	m.mu.Lock()
	defer m.mu.Unlock()

	cancelled := isCancelled(m.ctx, e.Err)
	if !m.opts.allErrors {
		if len(m.failed) > 0 {
			return
		}
		m.cancel(e)
	}

	m.failed = append(m.failed, e)
	if !cancelled {
		m.meter.add(1, e)
	}
}

func (m *mapping[In, Out]) err(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.failed) == 0:
		return nil
	case m.opts.allErrors:
		slices.SortFunc(m.failed, func(a, b *ElementError) int { return a.Index - b.Index })
		return m.failed
	case ctx.Err() != nil && !errors.Is(context.Cause(m.ctx), m.failed[0]): // ctx ended before the element failed
		return cause.Of(ctx)
	}
	return m.failed[0]
}
