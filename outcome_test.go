//go:build linux

package mp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/task"
	"github.com/go-multiprocessing/mp/ipc"
)

// richOutcome contains everything that a result can carry.
type richOutcome struct {
	Any   any
	Mutex *ipc.Mutex
	Array *ipc.Array[int]
	Queue *ipc.Queue[int]
	Conn  *ipc.Conn[int]
	Slab  *ipc.Slab[int]
	File  *os.File
	List  []richOutcome
}

var giveRich = mp.Register("giveRich", func(context.Context, int) (richOutcome, error) { return richOutcome{}, nil })

// close closes the parts that the result brought with it. The process still uses the other objects.
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

// outcomeParts holds the objects that the results of FuzzOutcome contain.
type outcomeParts struct {
	mutex *ipc.Mutex
	array *ipc.Array[int]
	queue *ipc.Queue[int]
	file  *os.File
}

func newOutcomeParts(f *testing.F) *outcomeParts {
	m, err1 := ipc.NewMutex()
	a, err2 := ipc.NewArray[int](4)
	q, err3 := ipc.NewQueue[int](ipc.Capacity(2))
	null, err4 := os.Open(os.DevNull)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _, _, _ = m.Close(), a.Close(), q.Discard(), null.Close() })
	return &outcomeParts{m, a, q, null}
}

// encode encodes an honest result with the parts that shape names. If shape names a connection or a
// slab, encode creates it.
func (p *outcomeParts) encode(t *testing.T, shape uint8) []byte {
	var r richOutcome
	var other *ipc.Conn[int]
	var err error
	has := func(bit int) bool { return err == nil && shape&(1<<bit) != 0 }

	if has(0) {
		r.Any = []any{1, "a", nil, 2.5}
	}
	if has(1) {
		r.Mutex = p.mutex
	}
	if has(2) {
		r.Array = p.array
	}
	if has(3) {
		r.Queue = p.queue
	}
	if has(4) {
		r.Conn, other, err = ipc.NewPipe[int]()
		t.Cleanup(func() { _ = other.Close() })
	}
	if has(5) {
		r.Slab, err = ipc.NewSlab[int](4)
	}
	if has(6) {
		r.File = p.file
	}
	if has(7) {
		r.List = []richOutcome{{Any: 1}, {Mutex: p.mutex}, {List: []richOutcome{{}}}}
	}
	if err != nil {
		t.Fatal(err)
	}

	b, err := giveRich.EncodeResult(&r)
	if err != nil {
		t.Fatal(err)
	}

	return b
}

// loseOutcome releases the parts of an honest result that have not arrived because the forged
// result did not name them. A process that forges its results would keep them until it ends, but
// this process goes on.
func loseOutcome(honest []byte) { giveRich.LoseResult(honest) }

// forge changes bytes of b. Of each triple in with, two bytes select the position, and the third is
// added. The remaining bytes are appended.
func forge(b, with []byte) []byte {
	for len(with) >= 3 {
		b[int(binary.LittleEndian.Uint16(with))%len(b)] += with[2]
		with = with[3:]
	}
	return append(b, with...)
}

// FuzzOutcome forges outcomes of tasks. A result without a shape is the input itself. A result with
// a shape is an honest result of this process, and the input changes some of its bytes. The numbers
// of the objects, ends and files in it exist, and only some of them are wrong.
//
// The caller must get a value or an error, and may allocate memory only in proportion to the
// received bytes. The next result must be received as it was sent.
func FuzzOutcome(f *testing.F) {
	f.Add(uint8(task.Failed), uint8(0), errtree.Append(nil, errors.Join(os.ErrNotExist, &os.PathError{Op: "open", Path: "x", Err: os.ErrExist})))
	f.Add(uint8(task.Panicked), uint8(0), task.AppendPanic(nil, errors.New("on purpose")))
	f.Add(uint8(task.Exited), uint8(0), []byte(nil))
	f.Add(uint8(99), uint8(0), []byte("nonsense"))
	for bit := range 8 {
		f.Add(uint8(task.OK), uint8(1<<bit), []byte{})
		f.Add(uint8(task.OK), uint8(1<<bit), []byte{0, 0, 1})
		f.Add(uint8(task.OK), uint8(1<<bit|2), []byte{20, 0, 1, 0xff, 0xff, 0x80, 0})
	}

	f.Add(uint8(task.OK), uint8(0xff), []byte{})
	parts := newOutcomeParts(f)
	var bad *mp.CodecError
	f.Fuzz(func(t *testing.T, kind, shape uint8, data []byte) {
		var before, after runtime.MemStats
		if kind == task.OK {
			if shape != 0 {
				honest := parts.encode(t, shape)
				defer loseOutcome(honest)
				data = forge(append([]byte(nil), honest...), data)
			}
			var r richOutcome
			runtime.ReadMemStats(&before)
			switch err := giveRich.TakeResult(append([]byte(nil), data...), &r); {
			case err == nil:
				r.close()
			case !errors.As(err, &bad):
				t.Error(err)
			}
		} else {
			runtime.ReadMemStats(&before)
			if err := mp.OutcomeError(giveRich.Name(), kind, data); err == nil {
				t.Error("no error")
			}
		}

		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+1000*len(data)); got > most {
			t.Errorf("%d bytes took %d of memory", len(data), got)
		}

		parts.checkNext(t)
	})
}

// checkNext receives an honest result that contains every part.
func (p *outcomeParts) checkNext(t *testing.T) {
	b := p.encode(t, 0xff)
	defer loseOutcome(b)
	var r richOutcome
	if err := giveRich.TakeResult(b, &r); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	_, isList := r.Any.([]any)
	if !isList || r.Mutex != p.mutex || r.Array != p.array || r.Queue != p.queue || r.Conn == nil || r.Slab.Len() != 4 || r.File == nil || len(r.List) != 3 {
		t.Errorf("%+v", r)
	}
}
