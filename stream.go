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
