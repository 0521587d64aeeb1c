//go:build linux

package objects

import (
	"errors"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// mappedSegments returns how many segments this process has mapped.
func mappedSegments(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "/memfd:mp-")
}

func settles(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// leavesNothing checks that all segments are gone when the test is over.
func leavesNothing(t testing.TB) {
	before := mappedSegments(t)
	t.Cleanup(func() { settles(t, "all segments are gone", func() bool { return mappedSegments(t) <= before }) })
}

func newObject(t testing.TB, kind xsync.Kind, size int, alone bool) *Object {
	t.Helper()
	o, err := New(kind, size, alone)
	if err != nil {
		t.Fatal(err)
	}
	if kind == xsync.KindMutex {
		xsync.NewMutex(o.Memory())
	} else if o.Small() {
		xsync.NewCell(o.Memory())
	}
	o.Ready()
	return o
}

// V16: objects do not overlap, and each of them starts as zeros, wherever it lies.
func TestObjectsLieApart(t *testing.T) {
	leavesNothing(t)
	var all []*Object
	for i, size := range []int{1, 64, 65, 1000, largest, largest + 1, 1 << 20, 8} {
		o := newObject(t, xsync.KindData, size, i == 7)
		if len(o.Data()) < size {
			t.Errorf("%d bytes of %d", len(o.Data()), size)
		}

		for _, b := range o.Data() {
			if b != 0 {
				t.Fatal("not zeroed")
			}
		}
		for j := range o.Data() {
			o.Data()[j] = byte(i + 1)
		}
		all = append(all, o)
	}

	for i, o := range all {
		for _, b := range o.Data() {
			if b != byte(i+1) {
				t.Fatalf("object %d has another's bytes", i)
			}
		}
		if !o.Close() || o.Close() {
			t.Error("Close does not tell whether it was open")
		}
	}
}

// An arena is released with its last object, even if the arena is not the one that is being filled.
// The memory of closed objects is not reused.
func TestArenasGo(t *testing.T) {
	leavesNothing(t)
	first := newObject(t, xsync.KindMutex, xsync.Small, false)
	at := map[*byte]bool{}
	var last *Object

	for range 3 * arenaSize / line {
		if last != nil {
			last.Close()
		}
		last = newObject(t, xsync.KindMutex, xsync.Small, false)
		if p := &last.Bytes()[0]; at[p] {
			t.Fatal("memory was used again")
		} else {
			at[p] = true
		}
	}

	if n := mappedSegments(t); n > 4 { // the first arena, the current one, the mailboxes, the roster
		t.Errorf("%d segments", n)
	}
	last.Close()
	first.Close()
}

// A pinned object may be used after Close, and even after its owner has closed it.
func TestPin(t *testing.T) {
	leavesNothing(t)
	o := newObject(t, xsync.KindData, 1<<20, false)
	for range 2 {
		if err := o.Pin(); err != nil {
			t.Fatal(err)
		}
	}
	o.Close()
	o.Data()[1<<19] = 1
	o.Unpin()
	o.Data()[1<<19] = 2
	o.Unpin()
	if err := o.Pin(); !errors.Is(err, errs.ErrClosed) {
		t.Error(err)
	}
}

// V17: a token leads to the object as long as the object exists.
func TestAttach(t *testing.T) {
	leavesNothing(t)
	for _, kind := range []xsync.Kind{xsync.KindMutex, xsync.KindData} {
		o := newObject(t, kind, xsync.Small, false)
		other := newObject(t, kind, xsync.Small, false)
		token, err := o.Token()
		if err != nil {
			t.Fatal(err)
		}

		parsed, rest, err := ParseToken(append(token.Append(nil), 7), kind)
		if err != nil || parsed != token || len(rest) != 1 {
			t.Fatal(parsed, rest, err)
		}

		attached, err := Attach(parsed)
		if err != nil {
			t.Fatal(err)
		}
		if &attached.Bytes()[0] != &o.Bytes()[0] {
			t.Error("another object")
		}

		attached.Close()
		xsync.OpenCell(o.Memory()).Close(true)
		o.Close()
		if _, err := Attach(token); !errors.Is(err, segments.ErrGone) {
			t.Error(err)
		}
		if _, err := o.Token(); !errors.Is(err, errs.ErrClosed) {
			t.Error(err)
		}
		other.Close()
	}
}

// Whatever a token contains, Attach returns an error or an object that lies within its segment.
func FuzzToken(f *testing.F) {
	arena := newObject(f, xsync.KindMutex, xsync.Small, false)
	alone := newObject(f, xsync.KindData, 1<<20, false)
	for _, o := range []*Object{arena, alone} {
		token, err := o.Token()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token.Append(nil), byte(o.kind), o == alone)
	}

	f.Fuzz(func(t *testing.T, data []byte, kind byte, large bool) {
		token, _, err := ParseToken(data, xsync.Kind(kind))
		if err != nil {
			return
		}

		token.Segment = arena.seg.id // without this, no segment would ever be found
		if large {
			token.Segment = alone.seg.id
		}
		attachForged(t, token)
	})
}

// attachForged attaches the object of a possibly forged token, and uses it.
func attachForged(t *testing.T, token Token) {
	o, err := Attach(token)
	if err != nil {
		return
	}
	for _, b := range o.Bytes() {
		runtime.KeepAlive(b)
	}
	if o.Small() && o.off < firstLineOf(len(o.seg.mem))*line {
		t.Errorf("an object at %d", o.off)
	}
	xsync.Reap(o.kind, o.Bytes(), 3)
	if o.Small() {
		xsync.End(o.kind, o.Memory())
	}
	o.Close()
}

// A token of any kind may refer to a place at the edge of a segment or of its used part. It is
// rejected, or its object lies within the segment.
func TestTokensAtEdges(t *testing.T) {
	arena := newObject(t, xsync.KindMutex, xsync.Small, false)
	defer arena.Close()
	alone := newObject(t, xsync.KindData, 1<<20, false)
	defer alone.Close()

	for _, o := range []*Object{arena, alone} {
		end := len(o.seg.mem)
		for kind := range 256 {
			for _, off := range []int{0, 8, line, firstLineOf(end)*line - line, firstLineOf(end) * line, o.off, end - line, end - 8, end, end + line, math.MaxUint32} {
				for _, size := range []uint64{0, 1, 8, line - 1, line, xsync.Large, uint64(end), math.MaxUint64} {
					for _, gen := range []uint32{0, 1, o.gen} {
						attachForged(t, Token{Segment: o.seg.id, Offset: uint32(off), Gen: gen, Size: size, Kind: xsync.Kind(kind)})
					}
				}
			}
		}
	}
}
