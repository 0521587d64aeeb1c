package ipc

import "context"

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
