//go:build linux && amd64

package xsync_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Rings of scenes: one with room for two records, and a patient one.
var (
	two       = build{64, xsync.RingShape{Most: 2, Elsewhere: true}}
	aRing     = []xsync.Kind{xsync.KindRing}
	ringKinds = map[string]build{"ring": two, "patient": patient}
)

// numbered returns a record that contains its number. The place of a spilled record contains the
// number too; the test does not store the record itself.
func numbered(id uint64, size int) []byte {
	b := make([]byte, max(size, 8))
	for i := range b {
		b[i] = byte(id)
	}
	binary.LittleEndian.PutUint64(b, id)
	return b
}

func numberedPlace(b []byte) ([]byte, error) {
	place := numbered(binary.LittleEndian.Uint64(b), xsync.SpillSize)
	binary.LittleEndian.PutUint64(place[8:], uint64(len(b)))
	return place, nil
}

// numberOf returns the number and the size of a record, or an error if the record was changed.
func numberOf(rec xsync.Record) (id uint64, size int, err error) {
	b := rec.Bytes
	if len(b) < 8 {
		return 0, 0, fmt.Errorf("no record: %x", b)
	}
	id, size = binary.LittleEndian.Uint64(b), len(b)
	if rec.Spilled {
		size = int(binary.LittleEndian.Uint64(b[8:]))
		b = append(b[:8:8], b[16:]...)
	}
	for _, x := range b[8:] {
		if x != byte(id) {
			return 0, 0, fmt.Errorf("not as it was put: %x", b)
		}
	}
	return id, size, nil
}

// Counters of scenes: the records that were accepted, and the records that were received.
const (
	acceptedAt = 2
	gotAt      = 3
)

func (w *world) markedPut(r *xsync.Ring, id uint64, size int) error {
	return w.putMarked(r, id, numbered(id, size))
}

func (w *world) putMarked(r *xsync.Ring, id uint64, b []byte) error {
	if err := r.Put(forever, b, numberedPlace, func([]byte) {}); err != nil {
		return err
	}
	w.tally(acceptedAt).Or(1 << id)
	return nil
}

func (w *world) markedGet(r *xsync.Ring) error {
	rec, err := r.Get(forever, nil)
	if err != nil {
		return err
	}
	id, _, err := numberOf(rec)
	if err == nil && id > 0 && w.tally(gotAt).Or(1<<id)>>id&1 != 0 {
		err = fmt.Errorf("%d was got twice", id)
	}
	return err
}

func init() {
	for name, b := range ringKinds {
		open := func(w *world, table *park.WaitTable, n int) *xsync.Ring { return w.openRing(table, n, b) }
		small, large := numbered(1, 8), numbered(1, 2000)
		for op, f := range map[string]func(w *world, r *xsync.Ring){
			"put":   func(w *world, r *xsync.Ring) { _ = w.putMarked(r, 1, small) },
			"spill": func(w *world, r *xsync.Ring) { _ = w.putMarked(r, 1, large) },
			"get":   func(w *world, r *xsync.Ring) { _ = w.markedGet(r) },
			"end":   func(_ *world, r *xsync.Ring) { r.End() },
			"done":  func(_ *world, r *xsync.Ring) { _ = r.Done() },
		} {
			operations[name+"-"+op] = func(w *world, table *park.WaitTable, n int) func() {
				r := open(w, table, n)
				f(&world{mem: make([]byte, firstAt)}, warmRing(table, b))
				return func() { f(w, r) }
			}
		}

		act := func(what string, f func(w *world, r *xsync.Ring) error) {
			actions[name+"-"+what] = func(w *world, table *park.WaitTable, n int) error { return f(w, open(w, table, n)) }
		}
		for id := uint64(4); id < 6; id++ {
			act(fmt.Sprint("put", id), func(w *world, r *xsync.Ring) error { return w.markedPut(r, id, 8) })
			act(fmt.Sprint("spill", id), func(w *world, r *xsync.Ring) error { return w.markedPut(r, id, 2000) })
		}

		act("get", func(w *world, r *xsync.Ring) error { return w.markedGet(r) })
		act("join", func(_ *world, r *xsync.Ring) error { return r.Join(forever) })
		act("get-in-vain", func(w *world, r *xsync.Ring) error { return inVain(w.markedGet(r)) })
		act("put-in-vain", func(w *world, r *xsync.Ring) error { return inVain(w.markedPut(r, 6, 8)) })
		act("use", func(_ *world, r *xsync.Ring) error {
			if err := r.Put(forever, numbered(7, 8), numberedPlace, func([]byte) {}); err != nil {
				return err
			}
			_, err := r.Get(forever, nil)
			return err
		})
	}

	scenes = append(scenes, ringScenes...)
}

// warmRing returns a private Ring, with which the victim rehearses what it will do in the scene.
func warmRing(table *park.WaitTable, b build) *xsync.Ring {
	m := xsync.Memory{WaitTable: table, Bytes: make([]byte, xsync.RingSize), Gen: 1, Bucket: 900}
	r := xsync.NewRing(m, make([]byte, b.size), b.RingShape)
	if err := r.TryPut(numbered(0, 8), nil, nil); err != nil {
		panic(err)
	}
	return r
}

func inVain(err error) error {
	if !errors.Is(err, errs.ErrClosed) {
		return fmt.Errorf("not told that it was closed: %w", err)
	}
	return nil
}

// makeRing creates a Ring that contains records with the given numbers.
func makeRing(kind string, size int, ids ...uint64) func(s *stage) {
	return func(s *stage) {
		s.w.tally(acceptedAt).Store(0)
		s.w.tally(gotAt).Store(0)
		r := s.w.newRing(s.root, s.n, ringKinds[kind])
		for _, id := range ids {
			must(s.t, s.w.markedPut(r, id, size))
		}
	}
}

func (s *stage) ring(kind string) *xsync.Ring { return s.w.openRing(s.root, s.n, ringKinds[kind]) }

// puts makes the root put records.
func puts(kind string, size int, ids ...uint64) func(s *stage) {
	return func(s *stage) {
		for _, id := range ids {
			must(s.t, s.w.markedPut(s.ring(kind), id, size))
		}
	}
}

// getsUntil makes the root receive records until it has received the given ones.
func getsUntil(kind string, ids ...uint64) func(s *stage) {
	return func(s *stage) {
		for _, id := range ids {
			for s.w.tally(gotAt).Load()>>id&1 == 0 {
				must(s.t, s.w.markedGet(s.ring(kind)))
			}
		}
	}
}

// account checks the Ring when no process uses it. Records that were accepted must have been
// received or still be there, except for some that the victim may just have received. Records that
// were not accepted must not exist, except for one that the victim may just have put. After the
// check, all processes use the Ring.
func account(kind string, lost int) func(s *stage) {
	return func(s *stage) {
		r := s.ring(kind)
		for {
			rec, err := r.TryGet(nil)
			if err != nil {
				if !errors.Is(err, errs.ErrEmpty) && !errors.Is(err, errs.ErrClosed) {
					s.t.Error(err)
				}
				break
			}
			id, _, err := numberOf(rec)
			if err != nil || s.w.tally(gotAt).Or(1<<id)>>id&1 != 0 {
				s.t.Errorf("%d was left, and got before: %v", id, err)
			}
		}

		accepted, got := s.w.tally(acceptedAt).Load(), s.w.tally(gotAt).Load()
		if n := bits.OnesCount64(accepted &^ got); n > lost {
			s.t.Errorf("accepted: %b, got: %b", accepted, got)
		}
		if got&^accepted&^(1<<1) != 0 {
			s.t.Errorf("accepted: %b, got: %b", accepted, got)
		}

		if !r.Ended() {
			s.use(kind + "-use")
		}
	}
}

// ends ends the Ring in case the victim has not done so.
func ends(s *stage) { s.ring("ring").End() }

// makeWaiting starts several waiters in each process.
func makeWaiting(what string, ids ...uint64) func(s *stage) {
	return func(s *stage) {
		makeRing("ring", 8, ids...)(s)
		for range 2 {
			s.startHere(what)
			s.startThere(what)
		}
	}
}

// anotherElsewhere puts small records, followed by one that must wait until the victim's record, if
// there is one, has been received.
func anotherElsewhere(small ...uint64) func(s *stage) {
	return func(s *stage) {
		r := s.ring("patient")
		there := r.Len()
		puts("patient", 8, small...)(s)
		err := r.TryPut(numbered(2, 2000), numberedPlace, func([]byte) {})
		if there > 0 != errors.Is(err, errs.ErrFull) {
			s.t.Errorf("%d are there, and for another one: %v", there, err)
		}
		if err == nil {
			s.w.tally(acceptedAt).Or(1 << 2)
		}
		account("patient", 0)(s)
	}
}

var ringScenes = []scene{
	{name: "ring put, waited for", kinds: aRing, make: makeRing("ring", 8), op: "ring-put", here: "ring-get", there: "ring-get",
		finish: puts("ring", 8, 2, 3), check: account("ring", 0)},
	{name: "ring put, elsewhere", kinds: aRing, make: makeRing("ring", 8), op: "ring-spill", here: "ring-get", there: "ring-get",
		finish: puts("ring", 2000, 2, 3), check: account("ring", 0)},
	{name: "ring put, full", kinds: aRing, make: makeRing("ring", 8, 2, 3), op: "ring-put", here: "ring-put4", there: "ring-put5",
		release: func(s *stage) { must(s.t, s.w.markedGet(s.ring("ring"))) },
		finish:  getsUntil("ring", 3, 4, 5), check: account("ring", 0)},
	{name: "ring put, patient", kinds: aRing, make: makeRing("patient", 8), op: "patient-spill", here: "patient-get", there: "patient-get",
		finish: puts("patient", 2000, 2, 3), check: account("patient", 0)},
	{name: "ring put, one elsewhere", kinds: aRing, make: makeRing("patient", 8), op: "patient-spill", check: anotherElsewhere()},
	{name: "ring put, one elsewhere, others in its place", kinds: aRing, make: makeRing("patient", 8), op: "patient-spill", check: anotherElsewhere(3, 4)},
	{name: "ring get, waited for", kinds: aRing, make: makeRing("ring", 8, 2, 3), op: "ring-get", here: "ring-put4", there: "ring-put5",
		finish: getsUntil("ring", 4, 5), check: account("ring", 1)},
	{name: "ring get, patient", kinds: aRing, make: makeRing("patient", 2000, 2), op: "patient-get", here: "patient-spill4", there: "patient-spill5",
		finish: getsUntil("patient", 4, 5), check: account("patient", 1)},
	{name: "ring get, empty", kinds: aRing, make: makeRing("ring", 8), op: "ring-get", here: "ring-get", there: "ring-get",
		release: puts("ring", 8, 2), finish: puts("ring", 8, 3, 4), check: account("ring", 1)},
	{name: "ring end, empty", kinds: aRing, make: makeWaiting("ring-get-in-vain"), op: "ring-end", here: "ring-get-in-vain", there: "ring-get-in-vain",
		finish: ends, check: account("ring", 0)},
	{name: "ring end, full", kinds: aRing, make: makeWaiting("ring-put-in-vain", 2, 3), op: "ring-end", here: "ring-put-in-vain", there: "ring-put-in-vain",
		finish: ends, check: account("ring", 0)},
	{name: "ring done, joined", kinds: aRing, op: "ring-done", here: "ring-join", there: "ring-join",
		make: func(s *stage) {
			makeRing("ring", 8, 2)(s)
			must(s.t, s.w.markedGet(s.ring("ring")))
		},
		finish: func(s *stage) {
			if err := s.ring("ring").Done(); err != nil && !errors.Is(err, errs.ErrOverRelease) {
				s.t.Error(err)
			}
		},
		check: func(s *stage) {
			if err := s.ring("ring").Done(); !errors.Is(err, errs.ErrOverRelease) {
				s.t.Error(err)
			}
			must(s.t, s.ring("ring").Join(forever))
		}},
}
