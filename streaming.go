package mp

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
)

// A streamed is a result on its way to the consumer.
type streamed[Out any] struct {
	index int
	value Out
	err   error
	set   bool
}

// streaming is a stream under way. Three goroutines work at it: the feeder
// reads the input, the submitter gives what has been read to the executor,
// as much at a time as came meanwhile, and the caller's consumes.
type streaming[In, Out any] struct {
	f       *Func[In, Out]
	ordered bool
	hints   Hints
	meter   *meter
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	feed     sync.Cond // the feeder waits: room to read ahead
	submit   sync.Cond // the submitter waits: elements
	consume  sync.Cond // the consumer waits: results
	window   window
	read     int // elements read
	open     []In
	openFrom int // index of open[0]
	taken    int // results consumed
	settled  int // elements with an outcome
	ring     []streamed[Out]
	loose    []streamed[Out] // unordered results
	ended    bool            // the input has ended
	refused  bool            // the executor takes no more
	whole    bool            // the input has ended by itself, perhaps with inputErr
	inputErr error
	panicked any
	stopped  bool // the consumer has left
	waiting  bool // the consumer waits
	quit     bool // the submitter has ended
}

// window is how many elements may be read and not consumed. It follows the
// pace: about as many as go through in a few milliseconds.
type window struct {
	size, least int
	mark        int // taken when the round began
	since       time.Time
}

const (
	fastRound = 10 * time.Millisecond
	slowRound = 40 * time.Millisecond
	maxWindow = 1 << 16
)

// adapt is called now and then with the number of results consumed.
func (w *window) adapt(taken int) {
	if taken-w.mark < w.size {
		return
	}
	now := time.Now()
	switch round := now.Sub(w.since); {
	case round < fastRound:
		w.size = min(w.size*2, maxWindow)
	case round > slowRound:
		w.size = max(w.size/2, w.least)
	}
	w.mark, w.since = taken, now
}

func runStream[In, Out any](ctx context.Context, ex Executor, f *Func[In, Out], in iter.Seq2[In, error], opts []MapOption, ordered bool, yield func(streamed[Out]) bool) {
	o, err := applyOptions(ctx, opts)
	if err == nil {
		err = ready(ex, f)
	}
	meter := startMeter(o.tell, unknown)
	if err != nil {
		meter.end()
		yield(streamed[Out]{index: -1, err: err})
		return
	}
	defer meter.end()
	s := &streaming[In, Out]{f: f, ordered: ordered, hints: o.hints, meter: meter}
	s.feed.L, s.submit.L, s.consume.L = &s.mu, &s.mu, &s.mu
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	least := min(2*min(max(o.hints.Chunk, 1), maxWindow)*workersOf(ex), maxWindow)
	s.window = window{size: least, least: least, since: time.Now()}
	s.ring = make([]streamed[Out], 16)
	stop := context.AfterFunc(ctx, s.wakeAll)
	defer stop()
	defer s.leave()
	go s.feeder(in)
	go s.submitter(ex)
	s.consumer(ctx, yield)
}

func workersOf(ex Executor) int {
	if w, ok := ex.(interface{ numWorkers() int }); ok {
		return w.numWorkers()
	}
	return 8
}

func (s *streaming[In, Out]) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed.Broadcast()
	s.submit.Broadcast()
	s.consume.Broadcast()
}

// feeder reads the input.
func (s *streaming[In, Out]) feeder(in iter.Seq2[In, error]) {
	returned := false
	defer func() {
		var r any
		if !returned {
			if r = recover(); r == nil {
				r = "runtime.Goexit in the input of a stream"
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended, s.panicked = true, r
		s.submit.Signal()
		s.consume.Signal()
	}()
	whole := true
	for v, err := range in {
		if whole = s.add(v, err); !whole {
			break
		}
	}
	s.mu.Lock()
	if s.whole = whole || s.inputErr != nil; s.whole {
		s.meter.setTotal(s.read)
	}
	s.mu.Unlock()
	returned = true
}

// add takes an element and waits for room; false ends the input.
func (s *streaming[In, Out]) add(v In, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return false
	}
	if err != nil {
		s.inputErr = err
		return false
	}
	if len(s.open) == 0 {
		s.openFrom = s.read
		s.submit.Signal()
	}
	s.open = append(s.open, v)
	s.read++
	for s.read-s.taken >= s.window.size && !s.over() {
		s.feed.Wait()
	}
	return !s.over()
}

func (s *streaming[In, Out]) over() bool { return s.stopped || s.refused || s.ctx.Err() != nil }

// submitter gives elements to the executor.
func (s *streaming[In, Out]) submitter(ex Executor) {
	for {
		b := s.next()
		if b == nil {
			break
		}
		if err := ex.Execute(s.ctx, s.f.id, b, s.hints); err != nil {
			s.refuse(b.from, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quit = true
	s.consume.Broadcast()
}

// refuse ends the input before element from, since the executor takes no more.
func (s *streaming[In, Out]) refuse(from int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.read = nil, from
	s.ended, s.refused, s.inputErr = true, true, err
	s.feed.Broadcast()
}

// next waits for elements; nil says that no more will come.
func (s *streaming[In, Out]) next() *streamBatch[In, Out] {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.open) == 0 && !s.ended && !s.over() {
		s.submit.Wait()
	}
	if len(s.open) == 0 || s.over() {
		return nil
	}
	b := &streamBatch[In, Out]{s: s, from: s.openFrom, in: s.open}
	s.open = nil
	return b
}

// streamBatch is a run of elements.
type streamBatch[In, Out any] struct {
	s    *streaming[In, Out]
	from int
	in   []In

	sent sent
}

func (b *streamBatch[In, Out]) Len() int { return len(b.in) }

func (b *streamBatch[In, Out]) Encode(buf []byte, lo, hi int) ([]byte, int, error) {
	return b.s.f.encodeFor(&b.sent, buf, b.in[lo:hi], lo)
}

// Describe says what element i is.
func (b *streamBatch[In, Out]) Describe(i int) string { return summary(b.in[i]) }

// Unrepeatable reports whether element i must not be retried.
func (b *streamBatch[In, Out]) Unrepeatable(i int) bool { return b.sent.moved(i) }

func (b *streamBatch[In, Out]) Settle(i int, result []byte, err error) {
	b.s.f.settled(&b.sent, i)
	r := streamed[Out]{index: b.from + i, err: err, set: true}
	if err == nil {
		r.err = b.s.f.decode(result, &r.value)
	}
	b.s.put(r)
}

// SettleRun is Settle for elements lo, lo+1, … that all have results; see
// crew.RunSettler.
func (b *streamBatch[In, Out]) SettleRun(lo int, results [][]byte) {
	b.s.f.settledRun(&b.sent, lo, len(results))
	rs := make([]streamed[Out], len(results))
	for k, data := range results {
		rs[k] = streamed[Out]{index: b.from + lo + k, set: true}
		rs[k].err = b.s.f.take(data, &rs[k].value)
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for k := range rs {
		b.s.place(rs[k])
	}
}

func (s *streaming[In, Out]) put(r streamed[Out]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place(r)
}

// place keeps a result until it is consumed.
func (s *streaming[In, Out]) place(r streamed[Out]) {
	s.settled++
	if s.stopped {
		s.consume.Signal()
		return
	}
	if r.err == nil || !isCancelled(s.ctx, r.err) {
		s.meter.add(1, r.err)
	}
	due := true
	if s.ordered {
		for r.index-s.taken >= len(s.ring) {
			s.grow()
		}
		s.ring[r.index%len(s.ring)] = r
		due = r.index == s.taken
	} else {
		s.loose = append(s.loose, r)
	}
	if due && s.waiting {
		s.waiting = false
		s.consume.Signal()
	}
}

// grow doubles the ring, keeping every result at its index.
func (s *streaming[In, Out]) grow() {
	old := s.ring
	s.ring = make([]streamed[Out], 2*len(old))
	for _, r := range old {
		if r.set {
			s.ring[r.index%len(s.ring)] = r
		}
	}
}

// consumer yields results until the end of the input or of the context.
func (s *streaming[In, Out]) consumer(ctx context.Context, yield func(streamed[Out]) bool) {
	var got []streamed[Out]
	for {
		var more bool
		got, more = s.collect(ctx, got[:0])
		for i := range got {
			if !yield(got[i]) {
				return
			}
			got[i] = streamed[Out]{}
		}
		if !more {
			break
		}
	}
	if err := s.last(ctx); err != nil {
		yield(streamed[Out]{index: -1, err: err})
	}
}

// collect waits for results and takes those that are due. What is taken at once
// is limited, so that reading ahead goes on meanwhile.
func (s *streaming[In, Out]) collect(ctx context.Context, got []streamed[Out]) (_ []streamed[Out], more bool) {
	const most = 1024
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		got = s.take(got, most)
		if len(got) > 0 {
			s.window.adapt(s.taken)
			s.feed.Signal()
			return got, true
		}
		if ctx.Err() != nil || s.ended && s.taken == s.read {
			return got, false
		}
		s.waiting = true
		s.consume.Wait()
	}
}

func (s *streaming[In, Out]) take(got []streamed[Out], most int) []streamed[Out] {
	if !s.ordered {
		n := min(len(s.loose), most)
		got = append(got, s.loose[:n]...)
		if s.loose = s.loose[n:]; len(s.loose) == 0 {
			s.loose = nil
		}
		s.taken += n
		return got
	}
	for len(got) < most {
		r := &s.ring[s.taken%len(s.ring)]
		if !r.set || r.index != s.taken {
			break
		}
		got = append(got, *r)
		*r = streamed[Out]{}
		s.taken++
	}
	return got
}

// last is the error that ends the stream, if any.
func (s *streaming[In, Out]) last(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken == s.read && (s.whole || s.refused):
		return s.inputErr
	case ctx.Err() != nil:
		return cause.Of(ctx)
	}
	return nil
}

// leave cancels what is still running and waits for its end, but not for an
// input that blocks. A panic of the input's goes on in the consumer.
func (s *streaming[In, Out]) leave() {
	s.cancel(nil)
	s.mu.Lock()
	s.stopped = true
	s.feed.Broadcast()
	s.submit.Broadcast()
	for !s.quit || s.settled < s.read-len(s.open) {
		s.consume.Wait()
	}
	r := s.panicked
	s.mu.Unlock()
	if r != nil {
		panic(fmt.Sprintf("mp: panic in the input of a stream: %v", r))
	}
}
