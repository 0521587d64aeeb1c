package mp

import (
	"context"
	"fmt"
	"math"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// A Func is a registered function, the handle by which it is called in worker
// processes. Func values are made by [Register] and are safe for concurrent use.
type Func[In, Out any] struct {
	id   string
	call func(context.Context, In) (Out, error)
	in   *codec.Type[In]
	out  *codec.Type[Out]
}

// Name returns the name under which the function is known in all processes:
// the import path of the registering package ("main" for a program's own), a dot,
// and the given name.
func (f *Func[In, Out]) Name() string { return f.id }

// With binds an argument. The Task can be run by a worker for its own sake, as
// [PoolConfig.Setup] for instance. It costs nothing until then; the argument is
// encoded when the Task is used.
func (f *Func[In, Out]) With(arg In) Task {
	return &boundTask[In, Out]{f, arg}
}

// check chooses the codecs, once all init functions have run.
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

// mostResult is the maximum size of a result in this process. A worker learns it before its first
// task.
var mostResult = math.MaxInt

// runner returns what a worker does for a task. It must not be called by two
// goroutines at once: the argument and the result lie in its variables, so that
// a call does not allocate them.
func (f *Func[In, Out]) runner() runner.Handler {
	var arg, noArg In
	var result, noResult Out
	return func(ctx context.Context, in, out []byte) (_ []byte, err error) {
		if err := f.in.Take(in, &arg); err != nil {
			return nil, codecError(f.id, "argument", "decoded", err)
		}
		given := arg
		arg = noArg // nothing is kept alive
		if result, err = f.call(ctx, given); err != nil {
			result = noResult
			return nil, err
		}
		at := len(out)
		out, err = f.out.Append(out, &result)
		result = noResult
		if err == nil && len(out) > mostResult {
			err = overMaxMessage(len(out), mostResult)
			f.out.Lose(out[at:])
		}
		if err != nil {
			return nil, codecError(f.id, "result", "encoded", err)
		}
		return out, nil
	}
}

// encode appends arguments in wire form, each with its length in front; see
// Batch.Encode.
func (f *Func[In, Out]) encode(buf []byte, args []In) ([]byte, int, error) {
	out, n, err := f.in.AppendRun(buf, args)
	if err != nil {
		err = f.unencodable(err)
	}
	return out, n, err
}

// brings reports whether arguments can bring along what is to be looked after.
func (f *Func[In, Out]) brings() bool { return f.in.Files() || f.in.Moves() }

// encodeFor is encode for elements lo, lo+1, … of a batch. None of them is on its way: what an
// earlier encoding of them had let go comes back before.
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

// note notes what the encoded arguments of elements lo, lo+1, … bring along.
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

// settled says that no process will look at the argument of element i any more.
func (f *Func[In, Out]) settled(s *sent, i int) {
	if f.brings() {
		s.settled(i)
	}
}

// settledRun is settled for n elements from lo on.
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

// encodeOne is encode for one argument.
func (f *Func[In, Out]) encodeOne(buf []byte, arg *In) ([]byte, error) {
	out, err := f.in.AppendFramed(buf, arg)
	if err != nil {
		err = f.unencodable(err)
	}
	return out, err
}

// describe says what an encoded argument with its length in front is, if that can be decoded twice.
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

// takeRun decodes results into out, which may keep them, and calls fail for those that cannot
// be decoded.
func (f *Func[In, Out]) takeRun(results [][]byte, out []Out, fail func(i int, err error)) {
	f.out.TakeRun(results, out, func(i int, err error) { fail(i, f.undecodable(err)) })
}

func (f *Func[In, Out]) decode(data []byte, out *Out) error {
	if err := f.out.Decode(data, out); err != nil {
		return f.undecodable(err)
	}
	return nil
}

// take is decode of a result that *out may keep.
func (f *Func[In, Out]) take(data []byte, out *Out) error {
	if err := f.out.Take(data, out); err != nil {
		return f.undecodable(err)
	}
	return nil
}

func (f *Func[In, Out]) undecodable(err error) error {
	return codecError(f.id, "result", "decoded", err)
}

// An earlyArgument was encoded when the caller had it, long before a worker is sent it: what it refers to may be
// overwritten meanwhile.
type earlyArgument struct {
	framed []byte // with its length in front
	err    error  // it cannot be encoded
	items  sentItems
	sent   bool
}

// encodeEarly encodes an argument. Small ones share memory, in chunks.
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
	if cap(out) == cap(*chunk) { // it had room
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

// appendEarly is [Batch]'s Encode.
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
