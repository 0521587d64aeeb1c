//go:build linux

package ipc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// largeSegment returns the number and the size of a segment in which all pages are allocated and
// which holds no message. Any process that shares memory can have such a segment, and name it in
// forged messages.
func largeSegment(t *testing.T) (id uint64, size int) {
	t.Helper()
	m, err := ipc.NewSharedMemory(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	for at := 0; at < m.Size(); at += 4096 {
		m.Bytes()[at] = 0 // allocates the page
	}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b), m.Size()
}

// manyForged is the number of forged messages that name the same segment. Reading it once for each
// message would take half a minute.
const manyForged = 1000

// inTime checks that f, which takes no context, returns soon.
func inTime(t *testing.T, what string, f func() error) {
	t.Helper()
	begun := time.Now()
	if err := f(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("%s took %v", what, d)
	}
}

// Messages that have not been received may all name the same memory. Closing a queue or an end of a
// pipe with such messages takes little time, whether or not the messages can contain objects that
// must be released.
func TestForgedLeftovers(t *testing.T) {
	id, size := largeSegment(t)
	t.Run("numbers", func(t *testing.T) { forgedLeftovers[[]byte](t, id, size) })
	t.Run("objects", func(t *testing.T) { forgedLeftovers[*ipc.Mutex](t, id, size) })
	t.Run("ends", func(t *testing.T) { forgedLeftovers[*ipc.Conn[int]](t, id, size) })
}

func forgedLeftovers[T any](t *testing.T, id uint64, size int) {
	q, err := ipc.NewQueue[T](ipc.MaxElement(100 << 20))
	if err != nil {
		t.Fatal(err)
	}
	receiver, sender, err := ipc.NewPipe[T](ipc.MaxMessage(100 << 20))
	if err != nil {
		t.Fatal(err)
	}
	q.ForgeElements(manyForged, id, size)
	sender.ForgeMessages(manyForged, id, size)
	inTime(t, "Queue.Discard", q.Discard)
	inTime(t, "Conn.Close", receiver.Close)
	inTime(t, "Conn.Close of the other end", sender.Close)
}

// Objects in messages that will not be received are released, even if a message is too large for
// the memory of the queue or pipe.
func TestLargeLeftovers(t *testing.T) {
	type message struct {
		End  *ipc.Conn[int]
		Body []byte
	}
	// The messages lie in the memory of the queue or pipe, in a block, and in a segment.
	for _, size := range []int{100, 1 << 20, 17 << 20} {
		other := make([]*ipc.Conn[int], 2)
		messages := make([]message, 2)
		for i := range messages {
			a, b, err := ipc.NewPipe[int]()
			if err != nil {
				t.Fatal(err)
			}
			other[i], messages[i] = a, message{b, make([]byte, size)}
		}

		q, err := ipc.NewQueue[message]()
		if err != nil {
			t.Fatal(err)
		}

		receiver, sender, err := ipc.NewPipe[message]()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(q.Put(t.Context(), messages[0]), sender.Send(t.Context(), messages[1])); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(q.Discard(), receiver.Close(), sender.Close()); err != nil {
			t.Error(err)
		}

		for i, c := range other {
			if ready, err := c.Poll(t.Context(), 10*time.Second); !ready || err != nil {
				t.Errorf("%d bytes, %d: the other end is not told: %v", size, i, err)
			}
			_ = c.Close()
		}
	}
}

// countdown is a context that ends after a given number of calls of Err.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// A receiver stops reading a large message if its context has ended and readOn has passed. The
// message is lost, and the error says so.
func TestLargeMessageAndContext(t *testing.T) {
	id, size := largeSegment(t)
	q, err := ipc.NewQueue[[]byte]()
	if err != nil {
		t.Fatal(err)
	}

	receiver, sender, err := ipc.NewPipe[[]byte]()
	if err != nil {
		t.Fatal(err)
	}

	within := func(what string, get func(ctx context.Context) error, want bool) {
		t.Helper()
		ctx := &countdown{Context: t.Context()}
		ctx.left.Store(8)
		err := get(ctx)
		var lost *mp.CodecError
		if !errors.As(err, &lost) || errors.Is(err, context.DeadlineExceeded) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, want := range []bool{false, true} { // false: Get reads to the end, and finds no message
		readOn := never
		if want {
			readOn = 0
		}
		defer ipc.SetReadOn(readOn)()
		q.ForgeElements(1, id, size)
		sender.ForgeMessages(1, id, size)
		within("Queue.Get", func(ctx context.Context) error { _, err := q.Get(ctx); return err }, want)
		within("Conn.Recv", func(ctx context.Context) error { _, err := receiver.Recv(ctx); return err }, want)
	}

	if err := errors.Join(q.Discard(), receiver.Close(), sender.Close()); err != nil {
		t.Error(err)
	}
}
