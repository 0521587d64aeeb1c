//go:build linux

package ipc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// richMessage has every kind of field that a message can bring along.
type richMessage struct {
	Any   any
	Conn  *ipc.Conn[int]
	Slab  *ipc.Slab[int]
	Array *ipc.Array[int]
	List  []richMessage
}

// Whatever a corrupt process puts into a queue or a pipe, the receiver gets an error or a value,
// and receives the next message as it was sent.
//
// Each execution tests only one of three receivers, since testing all three would take three times
// as long.
func FuzzMessage(f *testing.F) {
	for way := range byte(3) {
		f.Add(way, []byte{})
		f.Add(way, []byte{0, 0})
		f.Add(way, []byte{0, 0xa0, 0})
		f.Add(way, []byte{2, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0xa0, 3})
		f.Add(way, []byte{0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0xa1, 0x61, 0x41, 0x01, 0})
	}

	rich, numbers := newQueue[richMessage](f, 4), newQueue[[]int](f, 4)
	a, b := newPipe[richMessage](f)
	ctx := context.Background()
	f.Fuzz(func(t *testing.T, way byte, data []byte) {
		var err error
		switch way % 3 {
		case 0:
			err = fuzzQueue(ctx, rich, data, richMessage{Any: 7}, func(v richMessage) bool { return v.Any == 7 })
		case 1:
			err = fuzzQueue(ctx, numbers, data, []int{1, 2}, func(v []int) bool { return len(v) == 2 && v[1] == 2 })
		case 2:
			err = fuzzPipe(ctx, a, b, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// codecOnly returns err, or nil if err is a CodecError.
func codecOnly(err error) error {
	if bad := (*mp.CodecError)(nil); errors.As(err, &bad) {
		return nil
	}
	return err
}

func fuzzQueue[T any](ctx context.Context, q *ipc.Queue[T], data []byte, good T, isGood func(v T) bool) error {
	if err := errors.Join(q.PutRaw(data), q.Put(ctx, good)); err != nil {
		return err
	}
	if _, err := q.TryGet(); codecOnly(err) != nil {
		return err
	}
	v, err := q.Get(ctx)
	if err == nil && !isGood(v) {
		err = fmt.Errorf("%v in the place of %v", v, good)
	}
	return err
}

func fuzzPipe(ctx context.Context, a, b *ipc.Conn[richMessage], data []byte) error {
	if err := a.SendRaw(data); err != nil {
		return err
	}

	_, err := b.Recv(ctx)
	if codecOnly(err) != nil {
		return err
	}
	if err != nil { // the data may claim that SendBytes sent it; if so, it stays
		if ready, _ := b.Poll(ctx, 0); ready {
			_, _ = b.RecvBytes(ctx)
		}
	}
	if err := a.Send(ctx, richMessage{Any: 7}); err != nil {
		return err
	}
	v, err := b.Recv(ctx)
	if err == nil && v.Any != 7 {
		err = fmt.Errorf("%v in the place of 7", v)
	}
	return err
}

// spoil changes its large argument in place and returns it. On the first attempt, its process dies.
var spoil = mp.Register("spoil", func(ctx context.Context, b []byte) ([]byte, error) {
	for i := range b {
		b[i]++
	}
	if task, _ := mp.CurrentTask(ctx); task.Attempt == 1 && b[0] == 2 {
		killSelf()
	}
	return b, nil
})

// Large values are not copied needlessly. Still, if a task changes its argument, or a caller its
// result, no other copy changes.
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
