//go:build linux

package mp_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
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

// spoil changes its large argument, returns it, and dies the first time.
var spoil = mp.Register("spoil", func(ctx context.Context, b []byte) ([]byte, error) {
	for i := range b {
		b[i]++
	}
	if task, _ := mp.CurrentTask(ctx); task.Attempt == 1 && b[0] == 2 {
		killSelf()
	}
	return b, nil
})

// What is large is not copied where it need not be: a task that changes what it is given, or a
// caller that changes what it got, changes nobody else's.
func TestLargeIsOnesOwn(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	large := bytes.Repeat([]byte{1}, 1<<20)
	check := func(how string, got []byte, err error) {
		t.Helper()
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{2}, len(large))) {
			t.Errorf("%s: %d bytes, %v", how, len(got), err)
		}
		clear(got[:cap(got)])
	}
	for range 3 {
		got, err := mp.Call(t.Context(), pool, spoil, large, mp.Retries(1))
		check("Call", got, err)
		all, err := mp.Map(t.Context(), pool, spoil, [][]byte{large, large, large}, mp.Retries(1))
		for _, got := range all {
			check("Map", got, err)
		}
		for got, err := range mp.Stream(t.Context(), pool, spoil, slices.Values([][]byte{large, large}), mp.Retries(1)) {
			check("Stream", got, err)
		}
	}
	if !bytes.Equal(large, bytes.Repeat([]byte{1}, len(large))) {
		t.Error("the caller's own has changed")
	}
}
