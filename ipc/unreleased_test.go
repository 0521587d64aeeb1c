//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/ipc"
)

// A receiver that does not release the memory of its messages gets a few messages, and no more
// until it releases one. Closing the pipe frees the rest.
func TestTakenAndNotReleased(t *testing.T) {
	for _, size := range []int{1 << 20, 17 << 20} { // in a block, in a segment
		a, b := newPipe[int](t)
		message := make([]byte, size)
		var last func()
		sent := 0
		for ; sent < 20; sent++ {
			err := a.TrySendBytes(message)
			if errors.Is(err, ipc.ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			release, err := inside.TakeRecord(b)
			if err != nil {
				t.Fatal(err)
			}
			last = release
		}

		if n, _ := inside.UnreadByConn(a); sent != 4 || n != sent*size {
			t.Errorf("%d bytes: %d messages were sent, and %d bytes count", size, sent, n)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := a.SendBytes(short, message); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
		if err := a.SendBytes(t.Context(), message[:10]); err != nil {
			t.Error("a short message: ", err)
		}
		if _, err := b.RecvBytes(t.Context()); err != nil {
			t.Error(err)
		}

		waited := make(chan error, 1)
		go func() { waited <- a.SendBytes(t.Context(), message) }()
		last()
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if m, err := b.RecvBytes(t.Context()); err != nil || len(m) != size {
			t.Error(len(m), err)
		}

		_ = errors.Join(a.Close(), b.Close())
		for n := 1; n != 0; time.Sleep(time.Millisecond) { // until a notices that b is closed
			n, _ = inside.UnreadByConn(a)
		}
	}
}

// A sender does not wait if a receiver keeps the messages, or if several goroutines receive at the
// same time.
func TestKeptMessages(t *testing.T) {
	const many = 40
	a, b := newPipe[int](t)
	errs := make(chan error, many)
	kept := make([][]byte, many)
	for i := range many {
		go func() {
			var err error
			kept[i], err = b.RecvBytes(t.Context())
			errs <- err
		}()
	}

	for range many {
		if err := a.SendBytes(t.Context(), make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}

	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, m := range kept {
		if len(m) != 1<<20 {
			t.Error(len(m))
		}
	}
}

// A producer eventually gives up elements that consumers have taken out of a queue and do not
// release. The memory of these elements is limited, and the producer can go on.
func TestElementsTakenAndNotReleased(t *testing.T) {
	q, err := ipc.NewQueue[[]byte](ipc.Capacity(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Discard() }()

	element := make([]byte, 10<<10) // too large for the queue's own memory
	put := 0
	for ; put < 200; put++ {
		err := q.TryPut(element)
		if errors.Is(err, ipc.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.GetRaw(); err != nil {
			t.Fatal(err)
		}
	}

	if put > 70 {
		t.Errorf("%d elements are unreleased", put)
	}
	defer ipc.SetLongRead(0)()
	if err := q.TryPut(element); err != nil {
		t.Error(err)
	}
	if b, err := q.TryGet(); err != nil || len(b) != len(element) {
		t.Error(len(b), err)
	}
}

// Goroutines that send large messages on one connection wait for each other. Send does not return
// ErrClosed to any of them.
func TestManySpills(t *testing.T) {
	a, b := newPipe[int](t)
	defer a.Close()

	const senders, each = 8, 60
	errs := make(chan error, senders)
	for range senders {
		go func() {
			message := make([]byte, 200<<10)
			for range each {
				if err := a.SendBytes(t.Context(), message); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}

	received := make(chan struct{})
	go func() {
		defer close(received)
		var buf []byte
		for range senders * each {
			var err error
			if buf, err = b.RecvBytes(t.Context()); err != nil || len(buf) != 200<<10 {
				t.Error(len(buf), err)
				break
			}
		}
		_ = b.Close()
	}()

	for range senders {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	<-received
}
