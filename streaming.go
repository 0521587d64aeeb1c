package mp

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
)

// A streamed is a result on its way to the consumer.
type streamed[Out any] struct {
	index int
	value Out
	err   error
	set   bool

	receipt codec.Receipt
}

// streaming is a stream under way. Three goroutines work at it: the feeder
// reads the input, the submitter gives what has been read to the executor,
// as much at a time as came meanwhile, and the caller's consumes.
type streaming[In, Out any] struct {
	f       *Func[In, Out]
	ordered bool
	early   bool   // elements are encoded before the input goes on
	chunk   []byte // where the feeder encodes them
	hints   Hints
	meter   *meter
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	feed     sync.Cond // the feeder waits: room to read ahead
	submit   sync.Cond // the submitter waits: elements
	consume  sync.Cond // the consumer waits: results
	window   window
	read     int                   // elements read
	unsent   int                   // bytes of those encoded early that no worker was sent yet
	open     *streamBatch[In, Out] // read, and not with the submitter; nil if empty
	taken    int                   // results consumed
	settled  int                   // elements with an outcome
	ring     []streamed[Out]
	loose    []streamed[Out] // unordered results
	late     []streamed[Out] // came when the consumer had left
	got      []streamed[Out] // the consumer's: next to be yielded
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
	// mostUnsent is how many bytes of elements that are encoded early may wait for workers before the input is asked
	// for more.
	mostUnsent = 16 << 20
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
	s := &streaming[In, Out]{f: f, ordered: ordered, early: codec.Aliases[In](), hints: o.hints, meter: meter}
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

// add takes an element, or the error of the input, and waits for room; false ends the input.
func (s *streaming[In, Out]) add(v In, err error) (more bool) {
	if !s.early || err != nil {
		_, more = s.note(v, nil, err)
		return more
	}
	e := s.f.encodeEarly(&s.chunk, v)
	var none In
	added, more := s.note(none, &e, nil)
	if !added {
		e.items.recall()
	}
	return more
}

// note is add for an element that may have been encoded early.
func (s *streaming[In, Out]) note(v In, e *earlyArgument, err error) (added, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return false, false
	}
	if err != nil {
		s.inputErr = err
		return false, false
	}
	if s.open == nil {
		s.open = &streamBatch[In, Out]{s: s, from: s.read}
		s.submit.Signal()
	}
	if e != nil {
		s.open.early = append(s.open.early, *e)
		s.unsent += len(e.framed)
	} else {
		s.open.in = append(s.open.in, v)
	}
	s.read++
	for (s.read-s.taken >= s.window.size || s.unsent >= mostUnsent) && !s.over() {
		s.feed.Wait()
	}
	return true, !s.over()
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
			s.refuse(b, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quit = true
	s.consume.Broadcast()
}

// refuse ends the input before a batch, since the executor takes no more.
func (s *streaming[In, Out]) refuse(b *streamBatch[In, Out], err error) {
	s.mu.Lock()
	open := s.open
	s.open, s.read = nil, b.from
	s.ended, s.refused, s.inputErr = true, true, err
	s.feed.Broadcast()
	s.mu.Unlock()
	b.recall()
	open.recall()
}

// next waits for elements; nil says that no more will come.
func (s *streaming[In, Out]) next() *streamBatch[In, Out] {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.open == nil && !s.ended && !s.over() {
		s.submit.Wait()
	}
	if s.over() {
		return nil
	}
	b := s.open
	s.open = nil
	return b
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
		if s.f.out.Carries() {
			s.late = append(s.late, r)
		}
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
			r := got[i]
			got[i], s.got = streamed[Out]{}, got[i+1:]
			if !yield(r) {
				return
			}
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
	for !s.quit || s.settled < s.read-s.open.Len() {
		s.consume.Wait()
	}
	r, open := s.panicked, s.open
	if s.f.out.Carries() {
		defer s.discard(slices.Concat(s.got, s.ring, s.loose, s.late))
	}
	s.mu.Unlock()
	open.recall()
	if r != nil {
		panic(fmt.Sprintf("mp: panic in the input of a stream: %v", r))
	}
}

// discard closes what results have brought along that nobody gets.
func (s *streaming[In, Out]) discard(results []streamed[Out]) {
	for i := range results {
		if r := &results[i]; r.set && r.err == nil {
			s.f.out.CloseFiles(&r.value)
			if r.receipt != nil {
				r.receipt.Lose()
			}
		}
	}
}
