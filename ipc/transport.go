package ipc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
)

// A Transport carries the messages of a [Conn] that is no pipe, over a network for instance; package
// connection has those of sockets. Its methods are called by any number of goroutines at once.
type Transport interface {
	// Send sends a message, whole or not at all as far as the other end can tell. When ctx ends
	// first, it returns its error or cause, as Recv does.
	Send(ctx context.Context, message []byte) error
	// Recv waits for the next message and appends it to buf. One that is there already it
	// returns also if ctx has ended. At the end it returns [io.EOF].
	Recv(ctx context.Context, buf []byte) ([]byte, error)
	// Ready returns a channel from which can be received as long as Recv would not wait.
	Ready() <-chan struct{}
	// Close ends what the other methods are doing, which then return [ErrClosed].
	Close() error
}

// NewConn makes a [Conn] of a Transport, which it closes when it is closed itself. It cannot be
// sent to another process, and no objects or files can be sent over it, since nobody knows
// where it leads. An error names the part of T that cannot be encoded; a nil Transport is an error as well.
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

// Shape is a number that tells types apart that are encoded in different ways: programs in
// which it is equal understand each other's messages of type T.
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
			case <-looked: // for nothing, if it goes on: another goroutine has taken the message
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

// line is what carries the messages of a Conn.
type line interface {
	// enter says that it is used, until leave; it returns an error if it cannot be.
	enter() error
	leave()
	maySend() error
	mayReceive() error
	// send sends a message, or nothing.
	send(ctx context.Context, b []byte) error
	// sendBytes is send for bytes that the receiver gets as they are, not decoded.
	sendBytes(ctx context.Context, b []byte) error
	// trySend and trySendBytes return ErrFull if they would wait.
	trySend(b []byte) error
	trySendBytes(b []byte) error
	// receive appends the next message to buf; tryReceive returns ErrEmpty if it would wait.
	receive(ctx context.Context, buf []byte) ([]byte, error)
	tryReceive(buf []byte) ([]byte, error)
	// foresee makes the line call f with each message that lies here before that is received. The caller calls
	// it before it receives anything.
	foresee(f func(message []byte))
	// readyNow reports whether receive would not wait, and await waits for that.
	readyNow() bool
	await(ctx context.Context) error
	// enlist is Selectable's.
	enlist(s *selection) (stop func())
	// longest returns the maximum size of a message in bytes.
	longest() int
	// shut closes it, and calls drop for what was sent by value and will not be received.
	shut(drop func([]byte))
	// forget is shut for a line that is no longer reachable.
	forget(drop func([]byte))

	// See codec.Mover.
	depart(forGood bool) error
	comeBack()
	settle()
	lose()
	ticket() ([]byte, error)
}
