//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// If a process puts the same encoded element into a queue again, the objects in the element are not
// received twice. Receiving or dropping the second copy does not take the objects from the first
// receiver.
func TestElementTwice(t *testing.T) {
	mptest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	for name, use := range map[string]func(t *testing.T, q *ipc.Queue[richMessage]){
		"received": func(t *testing.T, q *ipc.Queue[richMessage]) {
			var bad *mp.CodecError
			if _, err := q.TryGet(); !errors.As(err, &bad) {
				t.Error("the second time: ", err)
			}
		},
		"dropped": func(t *testing.T, q *ipc.Queue[richMessage]) { _ = q.Discard() },
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue[richMessage](t, 4)
			far, end := newPipe[int](t)
			slab := newSlab[int](t, 1<<20)
			slab.Slice()[1<<19] = 7
			if err := q.Put(ctx, richMessage{Conn: end, Slab: slab}); err != nil {
				t.Fatal(err)
			}
			b := must(q.GetRaw())
			if err := errors.Join(q.PutRaw(b), q.PutRaw(b)); err != nil {
				t.Fatal(err)
			}
			got := must(q.TryGet())
			defer got.Conn.Close()
			defer got.Slab.Close()

			use(t, q)
			if err := far.Send(ctx, 5); err != nil {
				t.Error("the connection: ", err)
			}
			if v, err := got.Conn.Recv(ctx); v != 5 || err != nil {
				t.Error("the connection: ", v, err)
			}
			other := newSlab[int](t, 1<<20) // would reuse the memory of the first Slab if that were free
			other.Slice()[1<<19] = 8
			if s := got.Slab.Slice(); len(s) != 1<<20 || s[1<<19] != 7 {
				t.Error("the slab was taken away")
			}
			_ = other.Close()
		})
	}
}
