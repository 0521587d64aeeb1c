//go:build linux

package ipc

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
)

// If an element is above the limit, Put returns an error that names the limit, and puts nothing. If
// an element above the limit arrives from a corrupt process, Get returns a CodecError, and the
// queue still works.
func TestMaxElement(t *testing.T) {
	ctx := t.Context()
	q, err := NewQueue[[]byte](MaxElement(1000))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Discard()

	var bad *mp.CodecError
	for _, put := range []func([]byte) error{q.TryPut, func(b []byte) error { return q.Put(ctx, b) }} {
		if err := put(make([]byte, 2000)); !errors.As(err, &bad) || !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "MaxElement is 1000") {
			t.Errorf("a long element: %v", err)
		}
	}
	if n := q.Len(); n != 0 {
		t.Errorf("%d elements", n)
	}

	b, err := q.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{2000, 1 << 20, maxInBlock + 1} { // in the queue, in a block, in a segment
		q.in.spill.most = 1 << 30 // as a corrupt process would
		if err := q.Put(ctx, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		q.in.spill.most = 1000
		if err := q.Put(ctx, []byte{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Get(ctx); !errors.As(err, &bad) || !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes arrive: %v", size, err)
		}
		if v, err := q.Get(ctx); err != nil || len(v) != 3 {
			t.Errorf("after %d bytes: %v, %v", size, v, err)
		}
	}

	attached.forget(q.in.obj) // as in another process
	var other Queue[[]byte]
	if err := other.UnmarshalBinary(b); err != nil || other.in.spill.most != 1000 {
		t.Errorf("the limit of a handle is %d: %v", other.in.spill.most, err)
	}
}

// The same holds for a pipe. The limit applies to the caller's bytes, not to the bytes that mp
// adds.
func TestMaxMessage(t *testing.T) {
	ctx := t.Context()
	a, b, err := NewPipe[[]byte](MaxMessage(100_000))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	defer a.Close()

	long := make([]byte, 100_001)
	for name, send := range map[string]func() error{
		"Send": func() error { return a.Send(ctx, long) }, "TrySend": func() error { return a.TrySend(long) },
		"SendBytes": func() error { return a.SendBytes(ctx, long) }, "TrySendBytes": func() error { return a.TrySendBytes(long) },
	} {
		if err := send(); !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "MaxMessage is 100000") {
			t.Errorf("%s: %v", name, err)
		}
	}

	if err := a.SendBytes(ctx, long[1:]); err != nil {
		t.Error(err)
	}
	if got, err := b.RecvBytes(ctx); err != nil || len(got) != 100_000 {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	end := a.in.line.(*pipeEnd)
	for _, size := range []int{100_100, maxInBlock + 1} {
		end.most = 1 << 30 // as a corrupt process would
		if err := a.SendBytes(ctx, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		var bad *mp.CodecError
		if _, err := b.RecvBytes(ctx); !errors.As(err, &bad) || !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes arrive: %v", size, err)
		}
	}

	if err := a.SendBytes(ctx, []byte{1}); err != nil {
		t.Error(err)
	}
	if got, err := b.RecvBytes(ctx); err != nil || len(got) != 1 {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

func TestLimitsOfMessagesAreChecked(t *testing.T) {
	if _, err := NewQueue[int](MaxElement(-1)); err == nil || !strings.Contains(err.Error(), "mp: NewQueue: MaxElement is -1") {
		t.Error(err)
	}
	if _, _, err := NewPipe[int](MaxMessage(-1)); err == nil || !strings.Contains(err.Error(), "mp: NewPipe: MaxMessage is -1") {
		t.Error(err)
	}
}
