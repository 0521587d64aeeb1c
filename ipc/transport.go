package ipc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// A Transport carries the messages of a [Conn] that is not a pipe, for instance over a network.
// Package connection has Transports over sockets. Any number of goroutines may call its methods at
// once.
type Transport interface {
	// Send sends a message completely, or, as far as the other end can tell, not at all. If ctx
	// ends first, Send and Recv return ctx's error or cause.
	Send(ctx context.Context, message []byte) error
	// Recv waits for the next message and appends it to buf. If a message has already arrived, Recv
	// returns it even if ctx has ended. After the last message, Recv returns [io.EOF].
	Recv(ctx context.Context, buf []byte) ([]byte, error)
	// Ready returns a channel that is ready to receive from whenever Recv would not wait.
	Ready() <-chan struct{}
	// Close ends the calls of the other methods, which then return [ErrClosed].
	Close() error
}

// NewConn makes a [Conn] from a Transport. Closing the Conn closes the Transport. The Conn cannot
// be sent to another process, and cannot carry objects or files, since the other end may be on
// another machine. If T cannot be encoded, the error names the field. A nil Transport is an error.
func NewConn[T any](t Transport) (*Conn[T], error) {
	if t == nil {
		return nil, errors.New("mp: NewConn: the Transport is nil")
	}
	c, err := codec.ForMessage[T]()
	if err != nil {
		return nil, fmt.Errorf("mp: NewConn: %w", err)
	}
	return newConn(&transportLine{transport: t}, nil, c), nil
}

// Shape returns a number that differs for types with different encodings. If two programs get the
// same number for a type, they understand each other's messages of that type. If T cannot be
// encoded, the error names the field.
func Shape[T any]() (uint64, error) {
	c, err := codec.ForMessage[T]()
	if err != nil {
		return 0, err
	}
	return c.Fingerprint(), nil
}

// transportLine is the line of a Transport.
type transportLine struct {
	transport Transport
	closed    atomic.Bool
}

func (l *transportLine) enter() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return nil
}

func (l *transportLine) leave()            {}
func (l *transportLine) maySend() error    { return nil }
func (l *transportLine) mayReceive() error { return nil }

func (l *transportLine) send(ctx context.Context, b []byte) error { return l.transport.Send(ctx, b) }

func (l *transportLine) sendBytes(ctx context.Context, b []byte) error {
	return asCopy(b, func(message []byte) error { return l.send(ctx, message) })
}

func (l *transportLine) trySend([]byte) error {
	return fmt.Errorf("mp: one cannot tell whether it would wait: %w", errors.ErrUnsupported)
}

func (l *transportLine) trySendBytes(b []byte) error { return l.trySend(b) }

func (l *transportLine) receive(ctx context.Context, buf []byte) ([]byte, error) {
	return l.transport.Recv(ctx, buf)
}

func (l *transportLine) tryReceive(buf []byte) ([]byte, error) {
	b, err := l.transport.Recv(overdue, buf)
	if errors.Is(err, context.Canceled) {
		return buf, ErrEmpty
	}
	return b, err
}

// overdue is a context that has ended.
var overdue = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (l *transportLine) foresee(func([]byte)) {}

func (l *transportLine) readyNow() bool {
	select {
	case <-l.transport.Ready():
		return true
	default:
		return false
	}
}

func (l *transportLine) await(ctx context.Context) error {
	select {
	case <-l.transport.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *transportLine) enlist(s *selection) (stop func()) {
	over, looked := make(chan struct{}), s.lookedAgain()

	go func() {
		for {
			select {
			case <-l.transport.Ready():
				s.wake()
			case <-over:
				return
			}
			select {
			case <-looked: // if the Select goes on, another goroutine has taken the message
			case <-over:
				return
			}
		}
	}()

	return func() { close(over) }
}

func (l *transportLine) shut(func([]byte)) {
	if !l.closed.Swap(true) {
		_ = l.transport.Close()
	}
}

// longest is unused: a Transport has limits of its own.
func (l *transportLine) longest() int { return defaultMost }

func (l *transportLine) forget(drop func([]byte)) { l.shut(drop) }

var errStays = errors.New("mp: only ends of pipes can be sent to another process")

func (l *transportLine) depart(bool) error       { return errStays }
func (l *transportLine) comeBack()               {}
func (l *transportLine) settle()                 {}
func (l *transportLine) lose()                   {}
func (l *transportLine) ticket() ([]byte, error) { return nil, errStays }

// line carries the messages of a Conn.
type line interface {
	// enter counts a user of the line until leave. It returns an error if the line cannot be used.
	enter() error
	leave()
	maySend() error
	mayReceive() error
	// send sends a message completely or not at all.
	send(ctx context.Context, b []byte) error
	// sendBytes is like send, but the receiver gets the bytes as they are, not decoded.
	sendBytes(ctx context.Context, b []byte) error
	// trySend and trySendBytes return ErrFull instead of waiting.
	trySend(b []byte) error
	trySendBytes(b []byte) error
	// receive appends the next message to buf. tryReceive returns ErrEmpty instead of waiting.
	receive(ctx context.Context, buf []byte) ([]byte, error)
	tryReceive(buf []byte) ([]byte, error)
	// foresee makes the line call f with each message that is in shared memory here, before the
	// message is received. foresee is called before the first message is received.
	foresee(f func(message []byte))
	// readyNow reports whether receive would return without waiting. await waits until that is so.
	readyNow() bool
	await(ctx context.Context) error
	// enlist implements Selectable.
	enlist(s *selection) (stop func())
	// longest returns the maximum size of a message in bytes.
	longest() int
	// shut closes the line, and calls drop for each message that was sent by value and will not be
	// received.
	shut(drop func([]byte))
	// forget is like shut, but for a line that is no longer reachable.
	forget(drop func([]byte))

	// The remaining methods implement codec.Mover.
	depart(forGood bool) error
	comeBack()
	settle()
	lose()
	ticket() ([]byte, error)
}
