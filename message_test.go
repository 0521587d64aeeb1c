//go:build linux

package mp_test

import (
	"errors"
	"testing"

	"github.com/go-multiprocessing/mp"
)

// richMessage has all that a message can bring along.
type richMessage struct {
	Any   any
	Conn  *mp.Conn[int]
	Slab  *mp.Slab[int]
	Array *mp.Array[int]
	List  []richMessage
}

// Whatever a corrupt process puts into a queue or a pipe, who gets it has an error or a value,
// and the next message is received as it was sent.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0})
	f.Add([]byte{0, 0xa0, 0})
	f.Add([]byte{2, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0xa0, 3})
	f.Add([]byte{0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0xa1, 0x61, 0x41, 0x01, 0})
	rich, numbers := newQueue[richMessage](f, 4), newQueue[[]int](f, 4)
	a, b := newPipe[richMessage](f, mp.PipeConfig{})
	var bad *mp.CodecError
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := errors.Join(rich.PutRaw(data), numbers.PutRaw(data), rich.PutRaw(data), a.SendRaw(data)); err != nil {
			t.Fatal(err)
		}
		if _, err := rich.Get(t.Context()); err != nil && !errors.As(err, &bad) {
			t.Error(err)
		}
		if _, err := numbers.Get(t.Context()); err != nil && !errors.As(err, &bad) {
			t.Error(err)
		}
		if _, err := rich.TryGet(); err != nil && !errors.As(err, &bad) {
			t.Error(err)
		}
		if _, err := b.Recv(t.Context()); err != nil && !errors.As(err, &bad) {
			t.Error(err)
		} else if err != nil { // perhaps it says that it was sent as bytes
			if ready, _ := b.Poll(t.Context(), 0); ready {
				_, _ = b.RecvBytes(t.Context())
			}
		}
		if err := errors.Join(numbers.Put(t.Context(), []int{1, 2}), a.Send(t.Context(), richMessage{Any: 7})); err != nil {
			t.Fatal(err)
		}
		if v, err := numbers.Get(t.Context()); err != nil || len(v) != 2 || v[1] != 2 {
			t.Fatal(v, err)
		}
		if v, err := b.Recv(t.Context()); err != nil || v.Any != 7 {
			t.Fatal(v, err)
		}
	})
}
