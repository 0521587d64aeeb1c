//go:build linux

package xsync_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A tail or head that points between records is ErrCorrupt at once, for senders and receivers. If
// it were accepted, a record that is put there would never be read, or would be read as something
// else.
func TestRingPositionsBesideRecords(t *testing.T) {
	const offTail, offHead, places = 192, 256, 1<<20 - 1
	over, cancel := context.WithCancel(t.Context())
	cancel()
	w := newWorld(t)
	table := w.waitTables(1)[0]
	place := func([]byte) ([]byte, error) { return make([]byte, xsync.SpillSize), nil }
	drop := func([]byte) {}

	for n, b := range []build{{4096, xsync.RingShape{Most: 16, Elsewhere: true}}, {4096, xsync.RingShape{Most: 512}}} {
		for records := range 4 {
			for _, at := range []int{offTail, offHead} {
				for _, by := range []uint64{1, 3, 200} {
					r := w.newRing(table, n, b)
					for range records {
						must(t, r.TryPut(make([]byte, 40), place, drop))
					}

					word := shm.Word64(w.bytes(n), at)
					word.Store(word.Load()&^places | (word.Load()+by)&places)
					if records == 0 {
						if err := r.TryPut([]byte("x"), place, drop); !errors.Is(err, errs.ErrCorrupt) {
							t.Errorf("ring %d, word %d by %d: TryPut: %v", n, at, by, err)
						}
						if err := r.Put(over, []byte("x"), place, drop); !errors.Is(err, errs.ErrCorrupt) {
							t.Errorf("ring %d, word %d by %d: Put: %v", n, at, by, err)
						}
					}

					var err error
					for got := 0; err == nil && got <= records; got++ {
						_, err = r.TryGet(nil)
					}
					if !errors.Is(err, errs.ErrCorrupt) {
						t.Errorf("ring %d, %d records, word %d by %d: TryGet: %v", n, records, at, by, err)
					}
				}
			}
		}
	}
}
