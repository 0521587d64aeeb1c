package mp

import (
	"context"
	"iter"
)

// Input is the type of the input of a [Stream]. It is an iterator over elements, or over elements
// and errors if reading can fail. It may be infinite. [slices.Values] returns an Input for a slice.
type Input[In any] interface {
	iter.Seq[In] | iter.Seq2[In, error] | func(yield func(In) bool) | func(yield func(In, error) bool)
}

// Indexed is a result with the index of its element in the input.
type Indexed[Out any] struct {
	Index int // the index of the first element is 0
	Value Out
}

// Stream runs f for each element of in on ex and yields the results, or the errors of elements that
// failed, in the order of in. Each range over the returned iterator reads the input again.
//
// Stream reads the input on a separate goroutine, and only as far ahead as the workers need. A slow
// input does not delay results. If the element type contains slices, pointers, maps or interfaces,
// an element is encoded before the input continues. The input may then reuse the memory of the
// element, as [bufio.Scanner.Bytes] does. Up to 16 MiB of such elements wait for workers.
//
// If the input yields an error, the stream yields that error after the results of all earlier
// elements, and ends. When ctx ends, the stream yields ctx's error and ends. Some elements that it
// has read then have no result; use [Map] with [AllErrors] to find out which.
//
// Leaving the loop early cancels the running tasks, as the end of a context does with [Call], and
// waits until they have ended. It does not wait for an input that blocks; an input that blocks ends
// the next time it yields. Elements that were read ahead are lost, so a second Stream over the same
// channel does not continue where the loop stopped. The caller still owns files and connections in
// elements that were not sent to a worker. Objects and files in results that the loop has not
// received are closed.
func Stream[In, Out any, S Input[In]](ctx context.Context, ex Executor, f *Func[In, Out], in S, opts ...MapOption) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		runStream(ctx, ex, f, asSeq2[In](in), opts, true, func(r streamed[Out]) bool { return yield(r.value, r.err) })
	}
}

// StreamUnordered is like [Stream] but yields each result, or the error of an element that failed,
// as soon as it is available, with the index of the element. The error of the input or of ctx comes
// last, with the index -1.
func StreamUnordered[In, Out any, S Input[In]](ctx context.Context, ex Executor, f *Func[In, Out], in S, opts ...MapOption) iter.Seq2[Indexed[Out], error] {
	return func(yield func(Indexed[Out], error) bool) {
		runStream(ctx, ex, f, asSeq2[In](in), opts, false, func(r streamed[Out]) bool {
			return yield(Indexed[Out]{r.index, r.value}, r.err)
		})
	}
}

// asSeq2 returns an input of any kind as an iterator over elements and errors.
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

// A streamBatch is a run of consecutive elements of a stream.
type streamBatch[In, Out any] struct {
	s    *streaming[In, Out]
	from int  // index of the first element
	in   []In // as the input has yielded them
	sent sent

	early []earlyArgument // if elements are encoded early; then in and sent are not used
}

// Len returns the number of elements. A nil batch has none.
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

// send notes that an element may have been sent to a worker, or will never be. Either way it no
// longer waits for one. The caller must hold s.mu.
func (s *streaming[In, Out]) send(e *earlyArgument) {
	if !e.sent {
		e.sent = true
		s.unsent -= len(e.framed)
		s.feed.Signal()
	}
}

// Describe describes element i.
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

// settled must be called when no process will read elements lo to lo+n-1 again.
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

// recall takes back the files and moving objects in the elements of a batch that the executor has
// not accepted. The batch may be nil.
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

// SettleRun is Settle for elements lo, lo+1, …, all of which have results; see pool.RunSettler.
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
