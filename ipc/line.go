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
	// sendBytes is send for what is to be received as the bytes that it is.
	sendBytes(ctx context.Context, b []byte) error
	// trySend and trySendBytes return ErrFull if they would wait.
	trySend(b []byte) error
	trySendBytes(b []byte) error
	// receive appends the next message to buf; tryReceive returns ErrEmpty if it would wait.
	receive(ctx context.Context, buf []byte) ([]byte, error)
	tryReceive(buf []byte) ([]byte, error)
	// foresee has f called with each message before it is received, if that lies here. It is called
	// before anything is received.
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
	// forget is shut when nobody here can use it any more.
	forget(drop func([]byte))

	// See codec.Mover.
	depart(forGood bool) error
	comeBack()
	settle()
	lose()
	ticket() ([]byte, error)
}
