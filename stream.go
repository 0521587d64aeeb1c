package mp

import (
	"context"
	"iter"
)

// Input is what [Stream] reads: an iterator of elements, which may be infinite,
// or of elements and errors, which may fail. slices.Values makes one of a slice.
type Input[In any] interface {
	iter.Seq[In] | iter.Seq2[In, error] | func(yield func(In) bool) | func(yield func(In, error) bool)
}

// Indexed is a result with the place of its element in the input.
type Indexed[Out any] struct {
	Index int // from 0
	Value Out
}

// Stream runs f for each element of in on ex and yields the results, or the
// elements' own errors, in the order of in. It reads ahead only as far as the
// workers need.
//
// The input is read on a goroutine of its own, so that a slow input holds up no
// results. An element that can refer to memory, because its type has slices, pointers,
// maps or interfaces, is encoded before the input goes on, which may use that memory
// again, as bufio.Scanner.Bytes does; up to 16 MiB of such elements wait for workers.
// An error of the input's is yielded as it is, in its place, and ends
// the stream; so does the end of ctx, and then elements without a result were
// running or had not begun ([Map] with [AllErrors] tells which). Leaving the loop cancels the tasks that
// are running, as the end of a context does with [Call], and waits for their
// end; an input that blocks just then ends when it next yields. What was read
// ahead of the loop is then lost: one cannot go on reading a channel where the
// loop has stopped. Ends of connections and files in it are the caller's still, if no
// worker was sent them, and objects in results that the loop has not got are closed.
// Each range over the stream reads the input anew.
func Stream[In, Out any, S Input[In]](ctx context.Context, ex Executor, f *Func[In, Out], in S, opts ...MapOption) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		runStream(ctx, ex, f, asSeq2[In](in), opts, true, func(r streamed[Out]) bool { return yield(r.value, r.err) })
	}
}

// StreamUnordered is [Stream] that yields each result when it is there, with
// the place of its element in the input, or its error, as it is and with that
// place. An error that is no element's, the input's or the context's, comes last
// and has the index -1.
func StreamUnordered[In, Out any, S Input[In]](ctx context.Context, ex Executor, f *Func[In, Out], in S, opts ...MapOption) iter.Seq2[Indexed[Out], error] {
	return func(yield func(Indexed[Out], error) bool) {
		runStream(ctx, ex, f, asSeq2[In](in), opts, false, func(r streamed[Out]) bool {
			return yield(Indexed[Out]{r.index, r.value}, r.err)
		})
	}
}

// asSeq2 gives every kind of input the form of one that may fail.
func asSeq2[In any, S Input[In]](in S) iter.Seq2[In, error] {
	var seq iter.Seq[In]
	switch in := any(in).(type) {
	case iter.Seq2[In, error]:
		return in
	case func(func(In, error) bool):
		return in
	case iter.Seq[In]:
		seq = in
	case func(func(In) bool):
		seq = in
	}
	return func(yield func(In, error) bool) {
		for v := range seq {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// streamBatch is a run of elements.
type streamBatch[In, Out any] struct {
	s    *streaming[In, Out]
	from int
	in   []In // as the input has yielded them
	sent sent

	early []earlyArgument // in the place of both
}

// Len is the number of elements; 0 of no batch.
func (b *streamBatch[In, Out]) Len() int {
	if b == nil {
		return 0
	}
	return len(b.in) + len(b.early)
}

func (b *streamBatch[In, Out]) Encode(buf []byte, lo, hi int) ([]byte, int, error) {
	if b.early == nil {
		return b.s.f.encodeFor(&b.sent, buf, b.in[lo:hi], lo)
	}
	out, n, err := appendEarly(buf, b.early[lo:hi])
	s := b.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		s.send(&b.early[lo+i])
	}
	return out, n, err
}

// send notes that an element may have been sent to a worker, or will not be; under the lock.
func (s *streaming[In, Out]) send(e *earlyArgument) {
	if !e.sent {
		e.sent = true
		s.unsent -= len(e.framed)
		s.feed.Signal()
	}
}

// Describe says what element i is.
func (b *streamBatch[In, Out]) Describe(i int) string {
	if b.early != nil {
		return b.s.f.describe(b.early[i].framed)
	}
	return summary(b.in[i])
}

// Unrepeatable reports whether element i must not be retried.
func (b *streamBatch[In, Out]) Unrepeatable(i int) bool {
	if b.early != nil {
		return len(b.early[i].items.movers) > 0
	}
	return b.sent.moved(i)
}

// settled says that no process will look at elements lo, lo+1, … any more.
func (b *streamBatch[In, Out]) settled(lo, n int) {
	if b.early == nil {
		b.s.f.settledRun(&b.sent, lo, n)
		return
	}
	for i := lo; i < lo+n; i++ {
		e := &b.early[i]
		b.s.mu.Lock()
		wasSent, items := e.sent, e.items
		b.s.send(e)
		e.framed, e.items = nil, sentItems{}
		b.s.mu.Unlock()
		if wasSent {
			items.lose()
		} else {
			items.recall()
		}
	}
}

// recall takes back what elements bring along that the executor has not taken over.
func (b *streamBatch[In, Out]) recall() {
	if b == nil {
		return
	}
	for i := range b.early {
		b.early[i].items.recall()
	}
}

func (b *streamBatch[In, Out]) Settle(i int, result []byte, err error) {
	b.settled(i, 1)
	r := streamed[Out]{index: b.from + i, err: err, set: true}
	if err == nil {
		r.receipt, r.err = b.s.f.receive(result, &r.value, false)
	}
	b.s.put(r)
}

// SettleRun is Settle for elements lo, lo+1, … that all have results; see
// crew.RunSettler.
func (b *streamBatch[In, Out]) SettleRun(lo int, results [][]byte) {
	b.settled(lo, len(results))
	rs := make([]streamed[Out], len(results))
	for k, data := range results {
		rs[k] = streamed[Out]{index: b.from + lo + k, set: true}
		rs[k].receipt, rs[k].err = b.s.f.receive(data, &rs[k].value, true)
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for k := range rs {
		b.s.place(rs[k])
	}
}
