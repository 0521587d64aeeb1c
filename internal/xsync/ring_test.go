//go:build linux

package xsync_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A shelf stores the spilled records of a Ring.
type shelf struct {
	mu   sync.Mutex
	last uint64
	has  map[uint64][]byte
}

func (s *shelf) spill(b []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.has[s.last] = bytes.Clone(b)
	return binary.LittleEndian.AppendUint64(make([]byte, xsync.SpillSize-8), s.last), nil
}

func (s *shelf) take(place []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := binary.LittleEndian.Uint64(place[xsync.SpillSize-8:])
	b, ok := s.has[n]
	if !ok {
		panic("nothing there")
	}
	delete(s.has, n)
	return b
}

func (s *shelf) drop(place []byte) { s.take(place) }

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.has)
}

// A ring is a handle to a Ring, with the shelf that all handles to the Ring share.
type ring struct {
	*xsync.Ring
	*shelf
}

func (r ring) put(ctx context.Context, b []byte) error { return r.Put(ctx, b, r.spill, r.drop) }
func (r ring) tryPut(b []byte) error                   { return r.TryPut(b, r.spill, r.drop) }

func (r ring) get(ctx context.Context) ([]byte, error) {
	rec, err := r.Get(ctx, nil)
	return r.whole(rec), err
}

func (r ring) tryGet() ([]byte, error) {
	rec, err := r.TryGet(nil)
	return r.whole(rec), err
}

func (r ring) whole(rec xsync.Record) []byte {
	if rec.Spilled {
		return r.take(rec.Bytes)
	}
	return rec.Bytes
}

// A build describes how a Ring is created.
type build struct {
	size int // of the memory for records
	xsync.RingShape
}

// ringMemory returns the memory of the n-th object as a Ring, and the memory for its records.
func (w *world) ringMemory(table *park.WaitTable, n, size int) (xsync.Memory, []byte) {
	m := w.memory(table, n)
	data := m.Bytes[xsync.RingSize:]
	if size > len(data) {
		data = w.mem[worldSize-size:] // room for one such Ring
	}
	m.Bytes = m.Bytes[:xsync.RingSize:xsync.RingSize]
	return m, data[:size:size]
}

func (w *world) newRing(table *park.WaitTable, n int, b build) *xsync.Ring {
	clear(w.bytes(n))
	m, data := w.ringMemory(table, n, b.size)
	return xsync.NewRing(m, data, b.RingShape)
}

func (w *world) openRing(table *park.WaitTable, n int, b build) *xsync.Ring {
	m, data := w.ringMemory(table, n, b.size)
	return xsync.OpenRing(m, data, b.RingShape)
}

// rings makes the n-th object a Ring, and returns a handle for each WaitTable.
func (w *world) rings(tables []*park.WaitTable, n int, b build) (all []ring) {
	s := &shelf{has: map[uint64][]byte{}}
	w.newRing(tables[0], n, b)
	for _, l := range tables {
		all = append(all, ring{w.openRing(l, n, b), s})
	}
	return all
}

// Shapes of Rings: for queues, with as little memory as possible and with more, and for pipes.
var (
	single    = build{32, xsync.RingShape{Most: 1, Elsewhere: true}}
	tight     = build{7 * 32, xsync.RingShape{Most: 7, Elsewhere: true}}
	odd       = build{5*32 + 24, xsync.RingShape{Most: 5, Elsewhere: true}}
	roomy     = build{4096, xsync.RingShape{Most: 12, Elsewhere: true}}
	patient   = build{4096, xsync.RingShape{Most: 512}}
	patient3  = build{4096 + 8, xsync.RingShape{Most: 3}}
	allBuilds = map[string]build{"single": single, "tight": tight, "odd": odd, "roomy": roomy, "patient": patient, "patient, most 3": patient3}
)

// sizes returns a random size of a record. Most are small, and some exceed the memory.
func (b build) sizes(r *rand.Rand) int {
	switch r.IntN(8) {
	case 0:
		return 0
	case 1:
		return 16 + r.IntN(18) // about as long as a place
	case 2:
		return max(b.size/4-16+r.IntN(18), 0)
	case 3:
		return r.IntN(b.size)
	case 4:
		return b.size + r.IntN(b.size)
	}
	return r.IntN(b.size/16 + 16)
}

func aRecord(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// bulk returns how much memory a record of n bytes takes if it is longer than a place.
func bulk(n int) int { return 8 + (n+7)/8*8 }

// fits reports whether a patient Ring has room for a record, given the sizes of the records that
// are in it.
func (b build) fits(in []int, size int) bool {
	free, spilled := b.size, false
	for _, n := range in {
		if n = bulk(n); n > b.size/4 {
			free -= bulk(xsync.SpillSize)
			spilled = true
		} else {
			free -= n
		}
	}
	if n := bulk(size); n <= b.size/4 {
		return n+bulk(xsync.SpillSize) <= free
	}
	return !spilled && bulk(xsync.SpillSize) <= free
}

// A Ring is a queue, whatever the sizes of its records and wherever they are stored.
func TestRingIsAQueue(t *testing.T) {
	for name, b := range allBuilds {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			here := w.rings(w.waitTables(1), 0, b)[0]
			r := rand.New(rand.NewPCG(1, 1))
			var in [][]byte
			var sizes []int
			places := map[int]bool{}
			full, empty := 0, 0
			times := 40_000
			if testing.Short() {
				times = 10_000
			}

			for i := range times {
				places[here.Place()] = true
				if r.IntN(40) < 20+i/500%3*2-2 { // the Ring is almost full, then almost empty
					rec := aRecord(r, b.sizes(r))
					room := len(in) < b.Most && (b.Elsewhere || b.fits(sizes, len(rec)))
					switch err := here.tryPut(rec); {
					case room && err == nil:
						in, sizes = append(in, rec), append(sizes, len(rec))
					case !room && errors.Is(err, errs.ErrFull):
						full++
					default:
						t.Fatalf("%d: %v for %d bytes, room: %v", i, err, len(rec), room)
					}
				} else {
					got, err := here.TryGet([]byte("abc"))
					switch {
					case len(in) == 0 && errors.Is(err, errs.ErrEmpty):
						empty++
					case len(in) == 0 || err != nil || !bytes.HasPrefix(got.Bytes, []byte("abc")):
						t.Fatalf("%d: %v with %d in it", i, err, len(in))
					default:
						got.Bytes = got.Bytes[3:]
						if !bytes.Equal(here.whole(got), in[0]) {
							t.Fatalf("%d: not what was put", i)
						}
						in, sizes = in[1:], sizes[1:]
					}
				}
				if n := here.Len(); n != len(in) {
					t.Fatalf("%d: %d records of %d", i, n, len(in))
				}
			}

			if n := b.places(); len(places) < n*9/10 {
				t.Errorf("a record has begun at %d of %d places", len(places), n)
			}
			if full == 0 || empty == 0 {
				t.Errorf("full %d times, empty %d times", full, empty)
			}

			for _, rec := range in {
				if got, err := here.tryGet(); err != nil || !bytes.Equal(got, rec) {
					t.Fatal("in the end: ", err)
				}
			}

			if n := here.shelf.len(); n > 0 {
				t.Errorf("%d records that lie elsewhere are left", n)
			}
		})
	}
}

// places returns at how many places of a Ring records can begin.
func (b build) places() int {
	if b.Elsewhere && b.size == b.Most*32 {
		return b.Most
	}
	return b.size / 8
}
