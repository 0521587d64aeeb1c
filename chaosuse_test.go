//go:build linux

package mp_test

import (
	"context"
	"errors"
	"slices"

	"github.com/go-multiprocessing/mp"
)

// The following methods are the ways in which chaos uses a pool. Each settles every task whose
// outcome it learns.

// only returns the options that Call takes.
func only(opts []mp.MapOption) (calls []mp.CallOption) {
	for _, o := range opts {
		if c, ok := o.(mp.CallOption); ok {
			calls = append(calls, c)
		}
	}
	return calls
}

func (x *chaos) call(ctx context.Context, in []chaosTask, c circumstances, opts []mp.MapOption) {
	for _, t := range in {
		out, err := mp.Call(ctx, x.pool, doChaos, t, only(opts)...)
		x.settle(t, out, err, c)
	}
}

// submit also cancels some of the futures.
func (x *chaos) submit(ctx context.Context, in []chaosTask, c circumstances, opts []mp.MapOption) {
	var futures []*mp.Future[[]byte]
	for _, t := range in {
		futures = append(futures, mp.Submit(ctx, x.pool, doChaos, t, only(opts)...))
	}
	for i, f := range futures {
		own := c
		if in[i].N%5 == 0 {
			own.cancelled = f.Cancel() || c.cancelled
		}
		out, err := f.Result(context.Background())
		x.settle(in[i], out, err, own)
	}
}

func (x *chaos) mapAll(ctx context.Context, in []chaosTask, c circumstances, opts []mp.MapOption) {
	out, err := mp.Map(ctx, x.pool, doChaos, in, append(opts, mp.AllErrors())...)
	var failed mp.ElementErrors
	if err != nil && !errors.As(err, &failed) { // the pool has accepted none of them
		for _, t := range in {
			x.settle(t, nil, err, c)
		}
		return
	}
	errs := make([]error, len(in))
	for _, e := range failed {
		errs[e.Index] = e.Err
	}
	for i, t := range in {
		x.settle(t, out[i], errs[i], c)
	}
}

// mapFirst uses Map without AllErrors: the first error cancels the rest.
func (x *chaos) mapFirst(ctx context.Context, in []chaosTask, c circumstances, opts []mp.MapOption) {
	out, err := mp.Map(ctx, x.pool, doChaos, in, opts...)
	var first *mp.ElementError
	switch {
	case err == nil:
		for i, t := range in {
			x.settle(t, out[i], nil, c)
		}
	case errors.As(err, &first):
		x.settle(in[first.Index], nil, first.Err, c)
	default:
		x.settle(in[0], nil, err, c)
	}
	if len(out) != len(in) {
		x.t.Errorf("%d results of %d", len(out), len(in))
	}
}

// stream sometimes leaves the loop early.
func (x *chaos) stream(ctx context.Context, in []chaosTask, c circumstances, opts []mp.MapOption) {
	i := 0
	for out, err := range mp.Stream(ctx, x.pool, doChaos, slices.Values(in), opts...) {
		if i >= len(in) {
			x.over(err, c)
			return
		}
		x.settle(in[i], out, err, c)
		if i++; in[0].N%4 == 0 && i > len(in)/2 {
			return
		}
	}
}

func (x *chaos) unordered(ctx context.Context, in []chaosTask, c circumstances, opts []mp.MapOption) {
	seen := map[int]bool{}
	for out, err := range mp.StreamUnordered(ctx, x.pool, doChaos, slices.Values(in), opts...) {
		if out.Index < 0 {
			x.over(err, c)
			return
		}
		if out.Index >= len(in) || seen[out.Index] {
			x.t.Errorf("result %d again or of nothing: %v", out.Index, err)
			continue
		}
		seen[out.Index] = true
		x.settle(in[out.Index], out.Value, err, c)
	}
}

// over checks an error that does not belong to an element.
func (x *chaos) over(err error, c circumstances) {
	c.closed, c.starved = x.closed.Load(), x.starved.Load()
	if err == nil || !c.explain(err) {
		x.t.Errorf("a stream ends with %v, %+v", err, c)
	}
}
