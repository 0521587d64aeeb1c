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
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// tried performs one operation on a Ring with arbitrary content, and returns an error if the result
// is impossible.
func tried(r *xsync.Ring, most, room int, op byte) error {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if op&0x10 != 0 {
		ctx, cancel = context.WithTimeout(ctx, 20*time.Microsecond)
	}
	defer cancel()
	rec, err := xsync.Record{}, error(nil)
	b := make([]byte, int(op>>5)*room/6) // may be longer than there is room for
	place := func([]byte) ([]byte, error) { return make([]byte, xsync.SpillSize), nil }
	switch op & 0x1f {
	case 0, 1, 2:
		err = r.TryPut(b, place, func([]byte) {})
	case 3, 4, 5:
		rec, err = r.TryGet(nil)
	case 6, 7:
		err = r.Done()
	case 8:
		r.End()
	case 9:
		r.Close(op&0x20 != 0)
	case 10, 11:
		if n := r.Len(); n < 0 || n > most {
			return errors.New("more than there may be")
		}
		_ = r.Drained()

	case 16, 17, 18:
		err = r.Put(ctx, b, place, func([]byte) {})
	case 19, 20, 21:
		rec, err = r.Get(ctx, nil)
	case 22, 23:
		err = r.Join(ctx)
	}
	if len(rec.Bytes) > room || rec.Spilled && len(rec.Bytes) != xsync.SpillSize {
		return errors.New("more than there is room for")
	}

	for _, known := range []error{nil, errs.ErrClosed, errs.ErrCorrupt, errs.ErrFull, errs.ErrEmpty, errs.ErrOverRelease, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return nil
		}
	}

	return err
}

// Whatever the memory of a Ring contains, the Ring's methods return, and do not access adjacent
// memory.
func FuzzRing(f *testing.F) {
	f.Cleanup(xsync.Stuck(20 * time.Microsecond))
	w := newWorld(f)
	table := w.waitTables(1, 2, 65)[0]
	table.Heartbeat = time.Millisecond
	const gen = 7
	fresh := func(data []byte, shape xsync.RingShape, use func(r *xsync.Ring)) []byte {
		head := make([]byte, xsync.RingSize)
		use(xsync.NewRing(xsync.Memory{WaitTable: table, Bytes: head, Gen: gen}, data, shape))
		return head
	}

	for i, b := range []build{single, tight, patient} {
		data := make([]byte, b.size)
		head := fresh(data, b.RingShape, func(r *xsync.Ring) {
			for n := range 4 {
				_ = tried(r, b.Most, b.size, byte(n<<5))
			}
			_ = tried(r, b.Most, b.size, 3)
		})
		f.Add(head, data, byte(b.Most), b.Elsewhere, []byte{0, 3, 6, 16 + 0x40, 19, 22, 10, 0xe0, 0x23})
		binary.LittleEndian.PutUint64(head[192:], 1<<62|uint64(i+9)<<20|1<<19) // beyond the memory
		f.Add(head, data, byte(b.Most), b.Elsewhere, []byte{0, 3, 16, 19, 10, 6})
		binary.LittleEndian.PutUint64(head[64:], gen<<32|3) // locks that are held
		binary.LittleEndian.PutUint64(head[128:], gen<<32|1<<17)
		f.Add(head, bytes.Repeat([]byte{255}, b.size), byte(b.Most), b.Elsewhere, []byte{0, 3, 16, 19, 8, 9})
	}

	f.Fuzz(func(t *testing.T, head, data []byte, most byte, reserve bool, ops []byte) {
		shape := xsync.RingShape{Most: max(int(most), 1), Elsewhere: reserve}
		size := max(len(data)/8*8, 64)
		if reserve {
			size = max(size, shape.BytesFor())
		}

		h, d := make([]byte, xsync.RingSize), make([]byte, size)
		copy(h, head)
		copy(d, data)
		for _, at := range []int{0, 64, 128} { // open in most cases
			if h[at+4] != 0 {
				binary.LittleEndian.PutUint32(h[at+4:], gen)
			}
		}

		r := xsync.OpenRing(xsync.Memory{WaitTable: table, Bytes: h, Gen: gen}, d, shape)
		if !within(t, "it ends", func() {
			for i, op := range ops[:min(len(ops), 12)] {
				if op&0x1f == 0x1f {
					xsync.Reap(xsync.KindRing, h, int(op>>5))
				} else if err := tried(r, shape.Most, size, op); err != nil {
					t.Errorf("%d, %x: %v", i, op, err)
				}
			}
		}) {
			t.FailNow()
		}
	})
}

// A Ring's methods return even while another process keeps writing into the Ring's memory.
func TestRingScribbled(t *testing.T) {
	defer xsync.Stuck(20 * time.Microsecond)()
	w := newWorld(t)
	tables := w.waitTables(1, 2, 65)
	for _, l := range tables {
		l.Heartbeat = time.Millisecond
	}

	for n, b := range []build{single, tight, patient} {
		w.newRing(tables[0], n, b)
		over := make(chan struct{})
		var scribbler, users sync.WaitGroup
		scribbler.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 1))
			for {
				select {
				case <-over:
					return
				default:
					scribble(r, w, n, b)
				}
			}
		})

		for i := range 6 {
			users.Go(func() {
				r := rand.New(rand.NewPCG(uint64(n), uint64(i)))
				h := w.openRing(tables[i%3], n, b)
				for range rounds(3000) {
					if op := byte(r.IntN(256)); op&0x1f != 9 { // Close would end the test
						if err := tried(h, b.Most, b.size, op); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}

		within(t, "all end", users.Wait)
		close(over)
		scribbler.Wait()
	}
}

// scribble overwrites one word of a Ring, often with a plausible value.
func scribble(r *rand.Rand, w *world, n int, b build) {
	gen := uint64(n+1) << 32
	at := []int{0, 8, 16, 24, 64, 72, 128, 136, 192, 192, 192, 200, 256, 256, 256, 320, 384, 384 + 8*r.IntN(b.size/8)}[r.IntN(18)]
	v := r.Uint64()
	switch {
	case r.IntN(8) == 0:
	case at%64 == 0 && at < 192:
		v = gen | v>>r.IntN(64)&0xfffff
	case at < 192:
		v = 1<<1 | 1<<2
	case at < 384:
		v = 1<<62 | v>>(24+r.IntN(40))&^(1<<62)
	default:
		v = uint64(r.IntN(2*b.size)) | v&(1<<63)
	}
	shm.Word64(w.bytes(n), at).Store(v)
}
