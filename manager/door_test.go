//go:build linux

package manager

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// newTestDoor returns a door without a manager, and a knocker for it.
func newTestDoor(t *testing.T) (*ipc.Queue[hello], *knocker) {
	t.Helper()
	door, err := ipc.NewQueue[hello](ipc.Isolated())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = door.Discard() })
	k := &knocker{door: door}
	t.Cleanup(k.leave)
	return door, k
}

// expired returns a context that ends soon.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// If the manager does not look at its door yet, connect waits until its context ends. The next call
// continues to wait with the same connection.
func TestKnockerWaits(t *testing.T) {
	defer shorten(&passing, time.Nanosecond)()
	door, k := newTestDoor(t)
	for range 3 {
		if _, err := k.connect(expired(t)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errDoor) {
			t.Error(err)
		}
	}

	if n := door.Len(); n != 1 {
		t.Errorf("it has knocked %d times", n)
	}

	h, err := door.TryGet()
	if err != nil {
		t.Fatal(err)
	}

	defer h.Conn.Close()
	greet(h.Conn, nil)
	c, err := k.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendBytes(t.Context(), []byte("x")); err != nil {
		t.Error(err)
	}
	if b, err := h.Conn.RecvBytes(t.Context()); string(b) != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// connect returns at once if the manager refuses the connection.
func TestKnockerRefused(t *testing.T) {
	door, k := newTestDoor(t)
	go func() {
		h, err := door.Get(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		greet(h.Conn, ErrLimit)
		_ = h.Conn.Close()
	}()
	if _, err := k.connect(t.Context()); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

// A hello is lost if the manager takes it but does not answer, or if the connection ends at once.
// The client tries again, but not forever.
func TestKnockerPassed(t *testing.T) {
	defer shorten(&passing, time.Nanosecond)()
	for name, treat := range map[string]func(c *conn){
		"lost": func(*conn) {}, "closed": func(c *conn) { _ = c.Close() },
	} {
		door, k := newTestDoor(t)
		go func() {
			for range maxKnocks {
				h, err := door.Get(t.Context())
				if err != nil {
					t.Error(name, err)
					return
				}
				defer h.Conn.Close()
				treat(h.Conn)
			}
		}()

		if _, err := k.connect(t.Context()); !errors.Is(err, errPassed) {
			t.Error(name, err)
		}
	}
}

// A client that waits at a door when the door is closed gets an error soon. The same is true of a
// client that comes later.
func TestKnockerClosed(t *testing.T) {
	door, k := newTestDoor(t)
	if _, err := k.connect(expired(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	_ = door.Close()
	for range 2 {
		if _, err := k.connect(t.Context()); !errors.Is(err, errDoor) || !errors.Is(err, mp.ErrClosed) {
			t.Error(err)
		}
	}
}

// A full door means that the manager is slow, so put waits.
func TestKnockerFull(t *testing.T) {
	defer shorten(&keeping, time.Millisecond)()
	door, k := newTestDoor(t)
	for door.Len() < door.Cap() {
		if err := door.TryPut(hello{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.connect(expired(t)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errDoor) {
		t.Error(err)
	}
}

// shorten sets *d to by until back is called.
func shorten(d *time.Duration, by time.Duration) (back func()) {
	before := *d
	*d = by
	return func() { *d = before }
}

// stuck is a transport whose Close waits until over is closed.
type stuck struct{ over chan struct{} }

func (s stuck) Send(context.Context, []byte) error { return nil }
func (s stuck) Recv(ctx context.Context, buf []byte) ([]byte, error) {
	<-ctx.Done()
	return buf, ctx.Err()
}
func (s stuck) Ready() <-chan struct{} { return nil }
func (s stuck) Close() error           { <-s.over; return nil }

// A connection counts for its process and in total, from its admission until it has been cleaned
// up.
func TestAdmission(t *testing.T) {
	a := admission{most: 3, each: 2}
	over := make(chan struct{})
	c, err := ipc.NewConn[protocol](stuck{over})
	if err != nil {
		t.Fatal(err)
	}

	leave, err := a.admit(1)
	if err != nil {
		t.Fatal(err)
	}

	left := make(chan struct{})
	p := &peer{conn: c, leave: func() { leave(); close(left) }}
	for process, want := range []error{nil, nil, ErrLimit} { // processes 0 and 1 are admitted, which makes three connections
		if _, err := a.admit(uint64(process)); !errors.Is(err, want) {
			t.Errorf("process %d: %v", process, err)
		}
	}

	go p.close(true)
	if _, err := a.admit(2); !errors.Is(err, ErrLimit) {
		t.Error("one that is being closed does not count: ", err)
	}
	close(over)
	<-left
	if _, err := a.admit(2); err != nil {
		t.Error(err)
	}
	if _, err := a.admit(1); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}
