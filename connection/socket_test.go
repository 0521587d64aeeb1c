package connection

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// stuck is a connection that accepts some bytes and then no more.
type stuck struct {
	net.Conn
	takes   int
	began   chan struct{}
	mu      sync.Mutex
	overdue chan struct{}
	closed  chan struct{}
	once    sync.Once
}

func newStuck(takes int) *stuck {
	return &stuck{takes: takes, began: make(chan struct{}, 10), overdue: make(chan struct{}), closed: make(chan struct{})}
}

func (s *stuck) Read([]byte) (int, error) {
	<-s.closed
	return 0, net.ErrClosed
}

func (s *stuck) Write(b []byte) (int, error) {
	s.mu.Lock()
	overdue := s.overdue
	s.mu.Unlock()
	s.began <- struct{}{}
	select {
	case <-overdue:
		return min(s.takes, len(b)), os.ErrDeadlineExceeded
	case <-s.closed:
		return min(s.takes, len(b)), net.ErrClosed
	}
}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.IsZero() {
		s.overdue = make(chan struct{})
	} else {
		close(s.overdue)
	}
	return nil
}

func (s *stuck) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// If the context ends when a message is partly sent, the connection is closed, since the other side
// could not tell where the next message begins. If nothing was sent, the connection stays open.
func TestCutOff(t *testing.T) {
	for _, takes := range []int{0, 3} {
		c := newStuck(takes)
		s := newSocket(c, 1000, func() {})
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-c.began; cancel() }()
			if err := s.Send(ctx, []byte("message")); !errors.Is(err, context.Canceled) {
				t.Fatal(takes, err)
			}

			select {
			case <-c.closed:
				if takes == 0 {
					t.Fatal("closed for nothing")
				}
			default:
				if takes > 0 {
					t.Fatal("open, with half a message sent")
				}
			}

			if takes > 0 {
				if err := s.Send(t.Context(), nil); !errors.Is(err, io.ErrClosedPipe) {
					t.Error(err)
				}
				break
			}
		}

		_ = s.Close()
	}
}

// Close ends a Send that is in progress, and another Send that is waiting for the first.
func TestCloseWhileSending(t *testing.T) {
	c := newStuck(0)
	s := newSocket(c, 1000, func() {})
	errs := make(chan error)
	for range 2 {
		go func() { errs <- s.Send(t.Context(), []byte("x")) }()
	}
	<-c.began
	_ = s.Close()
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("sent")
		}
	}
}
