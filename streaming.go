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

// A streamed is a result that has not been yielded yet.
type streamed[Out any] struct {
	index int
	value Out
	err   error
	set   bool // tells a result from an empty slot of the ring

	receipt codec.Receipt
}

// A streaming is a stream in progress. Three goroutines work on it. The feeder reads the input. The
// submitter passes elements to the executor, in batches of all that the feeder has read meanwhile.
// The consumer, which is the caller's goroutine, yields results.
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
	feed     sync.Cond // the feeder waits for room to read ahead
	submit   sync.Cond // the submitter waits for elements
	consume  sync.Cond // the consumer waits for results
	window   window
	read     int                   // elements read
	unsent   int                   // bytes of early arguments that wait for a worker
	open     *streamBatch[In, Out] // elements that the submitter has not taken; nil if there are none
	taken    int                   // results that the consumer has taken
	settled  int                   // elements with an outcome
	ring     []streamed[Out]       // ordered results
	loose    []streamed[Out]       // unordered results
	late     []streamed[Out]       // results that came after the consumer had left
	got      []streamed[Out]       // results that the consumer has taken and not yielded
	ended    bool                  // the input has ended
	refused  bool                  // the executor has returned an error
	whole    bool                  // the input has ended by itself, perhaps with inputErr
	inputErr error
	panicked any
	stopped  bool // the consumer has left
	waiting  bool // the consumer waits
	quit     bool // the submitter has ended
}

// A window limits how many elements may be read and not consumed. It adapts to the number of
// elements that are consumed in 10 to 40 ms.
type window struct {
	size, least int
	mark        int       // results taken when the round began
	since       time.Time // when the round began
}

const (
	fastRound = 10 * time.Millisecond
	slowRound = 40 * time.Millisecond
	maxWindow = 1 << 16

	// maxUnsent is how many bytes of early arguments may wait for workers before the feeder stops
	// reading.
	maxUnsent = 16 << 20
)

// adapt adapts the window to the pace, given the number of results consumed so far.
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

// add adds an element, or the error of the input, and waits for room to read another. It reports
// whether the feeder may go on reading.
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

// note is add for an element that is already encoded if e is not nil. It also reports whether it
// has added the element.
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

	for (s.read-s.taken >= s.window.size || s.unsent >= maxUnsent) && !s.over() {
		s.feed.Wait()
	}

	return true, !s.over()
}

func (s *streaming[In, Out]) over() bool { return s.stopped || s.refused || s.ctx.Err() != nil }

// submitter passes elements to the executor until there are no more.
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

// refuse ends the input before batch b, because the executor has returned err for it.
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

// next waits for elements. It returns nil if no more will come.
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

// place stores a result until it is consumed. The caller must hold s.mu.
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

// grow doubles the size of the ring. The caller must hold s.mu.
func (s *streaming[In, Out]) grow() {
	old := s.ring
	s.ring = make([]streamed[Out], 2*len(old))
	for _, r := range old {
		if r.set {
			s.ring[r.index%len(s.ring)] = r
		}
	}
}

// consumer yields results until the input has ended, ctx has ended or yield returns false.
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

// collect waits for results and takes those that are next. It takes a limited number at once, so
// that the feeder can read ahead while the consumer yields them. It also reports whether more
// results may come.
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

// last returns the error with which the stream ends, or nil.
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

// leave cancels the running tasks and waits until they have ended. It does not wait for an input
// that blocks. If the input has panicked, leave panics.
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

// discard closes the objects and files in results that were not yielded.
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
