package mp

import (
	"context"
	"fmt"
	"math"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/task"
)

// A Func is a registered function. [Call], [Submit], [Map] and [Stream] call it in worker
// processes. [Register] and [RegisterAction] make Funcs. A Func is safe for concurrent use.
type Func[In, Out any] struct {
	id   string
	call func(context.Context, In) (Out, error)
	in   *codec.Type[In]
	out  *codec.Type[Out]
}

// Name returns the name of the function in all processes: the import path of the registering
// package ("main" for package main), a dot, and the name given to [Register].
func (f *Func[In, Out]) Name() string { return f.id }

// With returns a [Task] that calls the function with arg, for [PoolConfig.Setup] or
// [PoolConfig.Teardown]. The argument is encoded when the Task is used, not by With.
func (f *Func[In, Out]) With(arg In) Task {
	return &boundTask[In, Out]{f, arg}
}

// check chooses the codecs. It must be called after all init functions have run.
func (f *Func[In, Out]) check() (err error) {
	if f.in, err = codec.For[In](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	if f.out, err = codec.ForResult[Out](); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

func (f *Func[In, Out]) wire() link.FuncID {
	return link.FuncID{Name: f.id, In: f.in.Fingerprint(), Out: f.out.Fingerprint()}
}

// maxResult is the maximum size of a result in this process. A worker sets it before its first
// task.
var maxResult = math.MaxInt

// handler returns a handler that decodes an argument, calls the function and encodes the result.
// The handler must not be called concurrently, because calls share the variables for the argument
// and the result. That saves two allocations a call.
func (f *Func[In, Out]) handler() task.Handler {
	var arg, noArg In
	var result, noResult Out

	return func(ctx context.Context, in, out []byte) (_ []byte, err error) {
		if err := f.in.Take(in, &arg); err != nil {
			return nil, codecError(f.id, "argument", "decoded", err)
		}

		given := arg
		arg = noArg // do not keep the argument alive
		if result, err = f.call(ctx, given); err != nil {
			result = noResult
			return nil, err
		}

		at := len(out)
		out, err = f.out.Append(out, &result)
		result = noResult

		if err == nil && len(out) > maxResult {
			err = overMaxMessage(len(out), maxResult)
			f.out.Lose(out[at:])
		}
		if err != nil {
			return nil, codecError(f.id, "result", "encoded", err)
		}
		return out, nil
	}
}

// encode appends encoded arguments, each preceded by its length, as Batch.Encode does.
func (f *Func[In, Out]) encode(buf []byte, args []In) ([]byte, int, error) {
	out, n, err := f.in.AppendRun(buf, args)
	if err != nil {
		err = f.unencodable(err)
	}
	return out, n, err
}

// brings reports whether arguments can contain files or objects that move to the receiver. The
// sender must settle or recall these.
func (f *Func[In, Out]) brings() bool { return f.in.Files() || f.in.Moves() }

// encodeFor is like encode, but for elements lo, lo+1, … of a batch. None of them may be on its way
// to a worker. If they were encoded before, their files and moving objects are taken back first.
func (f *Func[In, Out]) encodeFor(s *sent, buf []byte, args []In, lo int) ([]byte, int, error) {
	if f.brings() {
		for i := range args {
			s.recall(lo + i)
		}
	}
	out, n, err := f.encode(buf, args)
	f.note(s, out[len(buf):], args[:n], lo)
	return out, n, err
}

// note records in s the files and moving objects in the encoded arguments of elements lo, lo+1, ….
func (f *Func[In, Out]) note(s *sent, run []byte, args []In, lo int) {
	if !f.brings() {
		return
	}

	files := f.in.SentFiles(run, len(args))
	for i := range args {
		items := sentItems{movers: f.in.Movers(&args[i])}
		if files != nil {
			items.files = files[i]
		}
		s.add(lo+i, items)
	}
}

// settled must be called when no process will read the argument of element i again.
func (f *Func[In, Out]) settled(s *sent, i int) {
	if f.brings() {
		s.settled(i)
	}
}

// settledRun is like settled, but for elements lo to lo+n-1.
func (f *Func[In, Out]) settledRun(s *sent, lo, n int) {
	if f.brings() {
		for i := range n {
			s.settled(lo + i)
		}
	}
}

func (f *Func[In, Out]) unencodable(err error) error {
	return codecError(f.id, "argument", "encoded", err)
}

// encodeOne is like encode, but for one argument.
func (f *Func[In, Out]) encodeOne(buf []byte, arg *In) ([]byte, error) {
	out, err := f.in.AppendFramed(buf, arg)
	if err != nil {
		err = f.unencodable(err)
	}
	return out, err
}

// describe describes an encoded argument that is preceded by its length. If decoding it a second
// time could have effects, it returns only the type.
func (f *Func[In, Out]) describe(framed []byte) string {
	if f.brings() || f.in.Carries() || len(framed) < codec.HeadSize {
		return reflect.TypeFor[In]().String()
	}
	var arg In
	if err := f.in.Decode(framed[codec.HeadSize:], &arg); err != nil {
		return ""
	}
	return summary(arg)
}

// takeRun decodes results into out. The decoded values may refer to the memory of results. It calls
// fail for each result that cannot be decoded.
func (f *Func[In, Out]) takeRun(results [][]byte, out []Out, fail func(i int, err error)) {
	f.out.TakeRun(results, out, func(i int, err error) { fail(i, f.undecodable(err)) })
}

func (f *Func[In, Out]) decode(data []byte, out *Out) error {
	if err := f.out.Decode(data, out); err != nil {
		return f.undecodable(err)
	}
	return nil
}

// take is decode, but *out may refer to the memory of data.
func (f *Func[In, Out]) take(data []byte, out *Out) error {
	if err := f.out.Take(data, out); err != nil {
		return f.undecodable(err)
	}
	return nil
}

func (f *Func[In, Out]) undecodable(err error) error {
	return codecError(f.id, "result", "decoded", err)
}

// An earlyArgument is an argument that is encoded as soon as the input has yielded it, because the
// input may overwrite the memory that it refers to before it is sent.
type earlyArgument struct {
	framed []byte // preceded by its length
	err    error  // why it cannot be encoded
	items  sentItems
	sent   bool // it may have been sent, or never will be
}

// encodeEarly encodes an argument. To save allocations, small arguments share the memory of chunk.
func (f *Func[In, Out]) encodeEarly(chunk *[]byte, arg In) earlyArgument {
	const size, least = 64 << 10, 1 << 10
	if cap(*chunk)-len(*chunk) < least {
		*chunk = make([]byte, 0, size)
	}

	at := len(*chunk)
	out, err := f.encodeOne(*chunk, &arg)
	if err != nil {
		return earlyArgument{err: err}
	}
	if cap(out) == cap(*chunk) { // it was not reallocated
		*chunk = out
	}

	e := earlyArgument{framed: out[at:len(out):len(out)]}
	if f.brings() {
		var s sent
		f.note(&s, e.framed, []In{arg}, 0)
		e.items = s.take(0)
	}

	return e
}

// appendEarly is Batch.Encode for early arguments.
func appendEarly(buf []byte, args []earlyArgument) (_ []byte, n int, err error) {
	limit := cap(buf)

	for n < len(args) {
		a := &args[n]
		if a.err != nil {
			return buf, n, a.err
		}
		if n > 0 && len(buf)+len(a.framed) > limit {
			break
		}
		buf = append(buf, a.framed...)
		n++
	}

	return buf, n, nil
}
