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

// Map runs f for each element of in on ex and returns the results in the order
// of in. It costs some 100 ns of processor time an element for small types, both
// sides together; elements travel in chunks sized by the time that they take.
//
// The first error in time cancels the rest and is returned as an [*ElementError];
// with [AllErrors] all elements are run, and all errors returned as
// [ElementErrors]. Always the slice has in's length and holds the results of the
// elements that succeeded, and zero values elsewhere; only AllErrors tells which
// those are.
//
// When ctx ends before that, its error is returned, after the tasks that were running have
// ended, as with [Call]. With AllErrors, ElementErrors say what became of each
// element, and errors.Is finds ctx's error in them. The elements of in must not
// change until then.
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

// MapAsync is [Map] without waiting: the slice and the error come through the
// future. The elements of in must not change until then. The context governs
// the tasks. They are submitted when MapAsync returns, so Shutdown waits for them; like [Submit] it
// blocks while too many wait for a worker.
func MapAsync[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], in []In, opts ...MapOption) *Future[[]Out] {
	ctx, cancel := context.WithCancel(ctx)
	future := &Future[[]Out]{cancel: cancel}
	under := false
	defer func() {
		if !under {
			cancel() // also if a hook of RegisterBaggage panics
		}
	}()
	m, err := newMapping(ctx, ex, f, in, opts)
	if err == nil {
		m.inFuture = f.out.Carries()
		execute := ex.Execute
		if x, ok := ex.(*Inline); ok {
			execute = x.executeSoon // Execute returns when the last task has begun
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
		// The crew keeps the mapping for a while longer, but must not keep the results alive.
		future.value, m.out = m.out, nil
		future.settle(err)
	}()
	return future
}

// mapping is a Map under way.
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

	inFuture bool // so nobody may get the results
	receipts []codec.Receipt
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

// begin submits the elements. With an error nothing more comes.
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

// await waits for the elements.
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

// Describe says what element i is.
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

// SettleRun is Settle for elements lo, lo+1, … that all have results; see
// crew.RunSettler.
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

// receive decodes the result of element i.
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

// fail notes an error. After the first one that counts, the cancelled rest does
// not.
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
	case ctx.Err() != nil && !errors.Is(context.Cause(m.ctx), m.failed[0]): // it ended before that
		return cause.Of(ctx)
	}
	return m.failed[0]
}
