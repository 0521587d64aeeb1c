//go:build linux

package deaths

import (
	"errors"
	"slices"
	"testing"

	"github.com/go-multiprocessing/mp"
)

// The element that dies is in the middle of a chunk, among others.
const (
	elements = 60
	chunk    = 10
	at       = 24
)

func (x *trial) elements() []element {
	in := make([]element, elements)
	for i := range in {
		in[i] = element{N: i, Notes: x.notes}
	}
	in[at].Way = x.row.Way
	return in
}

func call(t *testing.T, r Row) {
	x := newTrial(t, r)
	e := element{N: at, Notes: x.notes, Way: r.Way}
	v, err := mp.Call(t.Context(), x.pool, task, e, r.option())
	if bad := r.judge(err); bad != "" {
		t.Error(bad)
	}
	if err == nil && v != e.result() {
		t.Errorf("its result is %d", v)
	}
	if n := x.times()[at]; n != 1 {
		t.Errorf("it was run %d times", n)
	}
	x.recovered(err)
}

func mapped(t *testing.T, r Row) {
	x := newTrial(t, r)
	out, err := mp.Map(t.Context(), x.pool, task, x.elements(), mp.ChunkSize(chunk), mp.AllErrors(), r.option())
	errs := make([]error, elements)
	var all mp.ElementErrors
	if errors.As(err, &all); err != nil && all == nil {
		t.Fatal(err)
	}
	for _, e := range all {
		errs[e.Index] = e.Err
	}
	x.settled(out, errs)
}

func streamed(t *testing.T, r Row) {
	x := newTrial(t, r)
	var out []int
	var errs []error
	for v, err := range mp.Stream(t.Context(), x.pool, task, slices.Values(x.elements()), mp.ChunkSize(chunk), r.option()) {
		out, errs = append(out, v), append(errs, err)
	}
	if len(out) != elements {
		t.Fatalf("%d results", len(out))
	}
	x.settled(out, errs)
}

func unordered(t *testing.T, r Row) {
	x := newTrial(t, r)
	out, errs, seen := make([]int, elements), make([]error, elements), make([]int, elements)
	for v, err := range mp.StreamUnordered(t.Context(), x.pool, task, slices.Values(x.elements()), mp.ChunkSize(chunk), r.option()) {
		if v.Index < 0 {
			t.Fatal(err)
		}
		out[v.Index], errs[v.Index] = v.Value, err
		seen[v.Index]++
	}
	if slices.Min(seen) != 1 || slices.Max(seen) != 1 {
		t.Errorf("elements were yielded so many times: %d", seen)
	}
	x.settled(out, errs)
}

// settled checks the outcomes of all elements. The element that died must have its error. All
// others must have been run once and have their results.
func (x *trial) settled(out []int, errs []error) {
	if bad := x.row.judge(errs[at]); bad != "" {
		x.Error(bad)
	}

	times := x.times()
	for i, e := range x.elements() {
		switch {
		case times[i] > 1:
			x.Errorf("element %d was run %d times", i, times[i])
		case i != at && errs[i] != nil && x.mayBeLost(errs[i], errs[at]):
		case i != at && errs[i] != nil:
			x.Errorf("element %d: %v", i, errs[i])
		case times[i] == 0:
			x.Errorf("element %d was not run", i)
		case errs[i] == nil && out[i] != e.result():
			x.Errorf("element %d is %d", i, out[i])
		}
	}
	x.recovered(errs[at])
}

// mayBeLost reports whether a bystander's error is the death of a worker that destroyed the record
// of its tasks.
func (x *trial) mayBeLost(err, its error) bool {
	w, bad := workerError(err), workerError(its)
	return x.row.Needs == Losses && w != nil && bad != nil && w.PID == bad.PID
}

func process(t *testing.T, r Row) {
	notes := newNotes(t)
	e := element{N: at, Notes: notes, Way: r.Way, Alone: true}
	p, err := mp.NewProcess(task, e, mp.ProcessConfig{Limits: r.limits(), Env: r.env(), Output: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}

	_, err = p.Wait(t.Context())
	if r.Alone != "" {
		r.Returns, r.Reason, r.End = r.Alone, mp.ReasonSignal, End(r.Exit)
	}
	if bad := r.judge(err); bad != "" {
		t.Error(bad)
	}
	want := r.Exit
	if w := workerError(err); w != nil && len(r.Or) > 0 {
		want = int(fateOf(w).End)
	}
	if code, ok := p.ExitCode(); code != want || !ok {
		t.Errorf("its exit code is %d, %t, not %d", code, ok, want)
	}
}
