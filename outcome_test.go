//go:build linux

package mp

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// richOutcome has all that a result can bring along.
type richOutcome struct {
	Any   any
	Mutex *Mutex
	Array *Array[int]
	Queue *Queue[int]
	Conn  *Conn[int]
	Slab  *Slab[int]
	File  *os.File
	List  []richOutcome
}

var giveRich = Register("giveRich", func(context.Context, int) (richOutcome, error) { return richOutcome{}, nil })

// close closes what came with it. Objects of this process are the seeds', which go on.
func (r *richOutcome) close() {
	if r.Conn != nil {
		_ = r.Conn.Close()
	}
	if r.Slab != nil {
		_ = r.Slab.Close()
	}
	if r.File != nil {
		_ = r.File.Close()
	}
	for i := range r.List {
		r.List[i].close()
	}
}

// seedsOfOutcomes are outcomes as honest workers encode them. What they hold lives as long as
// the test.
func seedsOfOutcomes(f *testing.F) (results [][]byte) {
	m, err1 := NewMutex(ObjectConfig{})
	a, err2 := NewArray[int](4, ObjectConfig{})
	q, err3 := NewQueue[int](QueueConfig{Cap: 2})
	null, err4 := os.Open(os.DevNull)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _, _, _ = m.Close(), a.Close(), q.Discard(), null.Close() })
	for _, r := range []richOutcome{
		{}, {Any: "text"}, {Any: []any{1, "a", nil, 2.5}}, {Mutex: m}, {Array: a}, {Queue: q}, {Mutex: m, Array: a, Queue: q},
		{List: []richOutcome{{Any: 1}, {Mutex: m}, {List: []richOutcome{{}}}}}, {File: null},
	} {
		b, err := giveRich.out.Append(nil, &r)
		if err != nil {
			f.Fatal(err)
		}
		results = append(results, b)
	}
	return results
}

// Whatever a corrupt worker says that the outcome of a task is, with objects and files in it, its
// caller has a value or an error, for memory in proportion to what came.
func FuzzOutcome(f *testing.F) {
	for _, b := range seedsOfOutcomes(f) {
		f.Add(uint8(runner.OK), b)
	}
	f.Add(uint8(runner.Failed), errtree.Append(nil, errors.Join(os.ErrNotExist, &os.PathError{Op: "open", Path: "x", Err: os.ErrExist})))
	f.Add(uint8(runner.Panicked), runner.AppendPanic(nil, errors.New("on purpose")))
	f.Add(uint8(runner.Exited), []byte(nil))
	f.Add(uint8(99), []byte("nonsense"))
	var bad *CodecError
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if kind == runner.OK {
			var r richOutcome
			switch err := giveRich.take(slices.Clone(data), &r); {
			case err == nil:
				r.close()
			case !errors.As(err, &bad):
				t.Error(err)
			}
		} else if err := outcomeError(giveRich.Name(), kind, data); err == nil {
			t.Error("no error")
		}
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+1000*len(data)); got > most {
			t.Errorf("%d bytes took %d of memory", len(data), got)
		}
	})
}
