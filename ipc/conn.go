package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
)

// A Conn is one end of a connection: messages that are sent at one end are received at the other,
// in order. [NewPipe] makes both ends of a connection between processes. A Conn is safe for
// concurrent use; each message goes to one of the receiving goroutines.
//
// Each end belongs to one process at a time. An end can be sent in any message. It then moves: from
// then on, its methods return an error here, and the process that decodes the message has the end.
// So the other end can tell that a child to which an end was sent is gone, without the parent
// having to close anything. If the message cannot be encoded or sent, the sender keeps the end. A
// task that carries an end is not retried. An end cannot be sent while another goroutine uses it.
//
// An end is closed by [Conn.Close], when its process ends, or when it is no longer reachable. After
// that, the other end receives the remaining messages and then [io.EOF], and Send at the other end
// returns [io.ErrClosedPipe].
type Conn[T any] struct{ in *conn[T] }

type conn[T any] struct {
	moved
	line
	envelope envelope[T]
	turns    *turns
}

var (
	errInUse   = errors.New("mp: a connection cannot be sent while another goroutine uses it")
	errHeld    = errors.New("mp: a connection cannot be sent with a message that was not received: receive it as what it was sent as")
	errSpilled = errors.New("mp: a connection can only be encoded in a message of mp")
	errNoConn  = errors.New("mp: no handle of a connection")
)

// Send sends v. It waits for room until ctx ends. On error, nothing was sent. The error is ctx's,
// [io.ErrClosedPipe], [ErrClosed], [ErrMoved], [ErrDirection], or an error in which errors.As finds
// a [*mp.CodecError]. A message longer than [MaxMessage] is a CodecError with the cause
// [ErrTooLong].
//
// A message larger than a quarter of the pipe's buffer is stored outside the buffer, one such
// message at a time. The next one waits while the receiver is still reading more than three. Over a
// [Transport], the error may also be the Transport's, and MaxMessage does not apply.
func (c *Conn[T]) Send(ctx context.Context, v T) error {
	x, err := c.beginSend(ctx)
	if err != nil {
		return err
	}
	defer x.leave()
	return x.sendValue(&v, func(b []byte) error { return ended(ctx, x.send(ctx, b)) })
}

// TrySend is like [Conn.Send], but returns [ErrFull] instead of waiting for room. A [Transport]
// cannot tell whether there is room, so over a Transport, TrySend returns errors.ErrUnsupported.
func (c *Conn[T]) TrySend(v T) error {
	x, err := c.beginSend(context.Background())
	if err != nil {
		return err
	}
	defer x.leave()
	return x.sendValue(&v, x.trySend)
}

func (x *conn[T]) sendValue(v *T, send func(b []byte) error) error {
	p := buffers.Get().(*[]byte)
	b, err := x.envelope.seal(append((*p)[:0], byValue), v)
	if err != nil {
		err = codecError("message", "encoded", err)
	} else if err = send(b); err != nil {
		x.envelope.recall(b[1:], v)
	} else {
		x.envelope.sent(v)
	}
	putBuffer(p, b)
	return err
}

// SendBytes sends b as it is. The other end receives it with [Conn.RecvBytes] or [Conn.RecvInto].
// The errors are those of Send.
func (c *Conn[T]) SendBytes(ctx context.Context, b []byte) error {
	x, err := c.beginSend(ctx)
	if err != nil {
		return err
	}
	defer x.leave()
	return ended(ctx, x.sendBytes(ctx, b))
}

// TrySendBytes is like [Conn.SendBytes], but does not wait. Its errors are those of [Conn.TrySend].
func (c *Conn[T]) TrySendBytes(b []byte) error {
	x, err := c.beginSend(context.Background())
	if err != nil {
		return err
	}
	defer x.leave()
	return x.trySendBytes(b)
}

func (c *Conn[T]) beginSend(ctx context.Context) (*conn[T], error) {
	x, err := c.begin(ctx)
	if err == nil {
		if err = x.maySend(); err != nil {
			x.leave()
		}
	}
	return x, err
}

// begin returns the connection if it can be used. If begin returns no error, the caller must call
// leave.
func (c *Conn[T]) begin(ctx context.Context) (*conn[T], error) {
	if c.in == nil {
		return nil, errNotMade
	}
	if err := ctx.Err(); err != nil {
		return nil, ended(ctx, err)
	}
	return c.in, c.in.enter()
}

// Recv receives a value. It waits for one until ctx ends. If the other end is closed, Recv returns
// [io.EOF] after the last message.
//
// If the message cannot be decoded as a T, or is longer than [MaxMessage], errors.As finds a
// [*mp.CodecError] in the error, and the message is lost. A message above 16 MiB is also lost if
// Recv has not read all of it within one second after ctx ended. For a message that SendBytes sent,
// the error is a CodecError too, but the message is kept for RecvBytes. Over a [Transport], the
// error may also be the Transport's, and MaxMessage does not apply.
func (c *Conn[T]) Recv(ctx context.Context) (v T, err error) {
	x, err := c.begin(ctx)
	if err != nil {
		return v, err
	}
	defer x.leave()
	err = x.receiveValue(&v, x.waiting(ctx))
	return v, err
}

// TryRecv is like [Conn.Recv], but returns [ErrEmpty] instead of waiting for a message.
func (c *Conn[T]) TryRecv() (v T, err error) {
	x, err := c.begin(context.Background())
	if err != nil {
		return v, err
	}
	defer x.leave()
	err = x.receiveValue(&v, x.trying())
	return v, err
}

func (x *conn[T]) receiveValue(v *T, r receiver) error {
	p := buffers.Get().(*[]byte)
	b, err := x.receiveIf(isValue, (*p)[:0], r)
	if err == nil {
		if err = x.envelope.open(b[1:], v); err != nil {
			err = codecError("message", "decoded", err)
		}
	}
	putBuffer(p, b)
	return err
}

// receiver says how to get a message: with or without waiting.
type receiver struct {
	// turn takes the turn to receive, and returns the held message, if there is one.
	turn func() (held []byte, err error)
	// receive appends the next message of the line to a buffer.
	receive func(buf []byte) ([]byte, error)
}

func (x *conn[T]) waiting(ctx context.Context) receiver {
	return receiver{
		func() ([]byte, error) { return x.turns.await(ctx) },
		func(buf []byte) ([]byte, error) {
			b, err := x.receive(ctx, buf)
			if err == nil {
				return b, nil
			}
			if lost := (*mp.CodecError)(nil); errors.As(err, &lost) {
				return b, err // the error of a lost message; its cause may be that ctx ended
			}
			return b, ended(ctx, err)
		},
	}
}

func (x *conn[T]) trying() receiver { return receiver{x.turns.try, x.tryReceive} }

// RecvBytes receives a message that SendBytes sent. It waits for a message until ctx ends. The
// returned slice is new memory. For a message that Send sent, the error is a [*mp.CodecError] and
// the message is kept for Recv. The other errors are those of Recv.
func (c *Conn[T]) RecvBytes(ctx context.Context) ([]byte, error) {
	x, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer x.leave()
	return x.receiveBytes(x.waiting(ctx))
}

// TryRecvBytes is like [Conn.RecvBytes], but returns [ErrEmpty] instead of waiting for a message.
// In that case, nothing has been received.
func (c *Conn[T]) TryRecvBytes() ([]byte, error) {
	x, err := c.begin(context.Background())
	if err != nil {
		return nil, err
	}
	defer x.leave()
	return x.receiveBytes(x.trying())
}

func (x *conn[T]) receiveBytes(r receiver) ([]byte, error) {
	b, err := x.receiveIf(isBytes, nil, r)
	if err != nil {
		return nil, err
	}
	return b[1:], nil
}

// RecvInto receives into buf a message that SendBytes sent, and returns the message's length. If
// buf is too short, RecvInto returns [io.ErrShortBuffer] and the length, writes nothing, and keeps
// the message for the next call. The other errors are those of RecvBytes.
func (c *Conn[T]) RecvInto(ctx context.Context, buf []byte) (n int, err error) {
	x, err := c.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer x.leave()
	return x.receiveInto(buf, x.waiting(ctx))
}

// TryRecvInto is like [Conn.RecvInto], but returns [ErrEmpty] instead of waiting for a message. In
// that case, nothing has been received. After [io.ErrShortBuffer], TryRecvBytes can still receive
// the message.
func (c *Conn[T]) TryRecvInto(buf []byte) (n int, err error) {
	x, err := c.begin(context.Background())
	if err != nil {
		return 0, err
	}
	defer x.leave()
	return x.receiveInto(buf, x.trying())
}

func (x *conn[T]) receiveInto(buf []byte, r receiver) (n int, err error) {
	p := buffers.Get().(*[]byte)
	b, err := x.receiveIf(func(b []byte) error {
		if err := isBytes(b); err != nil {
			return err
		}
		if n = len(b) - 1; n > len(buf) {
			return io.ErrShortBuffer
		}
		return nil
	}, (*p)[:0], r)

	if err == nil {
		copy(buf, b[1:])
	}
	putBuffer(p, b)
	return n, err
}

// receiveIf receives the next message, including its first byte. If fits returns an error, the
// message is held and will be received next. Since only one goroutine receives at a time, no other
// goroutine can receive a later message first.
func (x *conn[T]) receiveIf(fits func(b []byte) error, buf []byte, r receiver) ([]byte, error) {
	if err := x.mayReceive(); err != nil {
		return buf, err
	}
	back, err := r.turn()
	if err != nil {
		return buf, err
	}
	defer func() { x.turns.pass(back) }()

	var b []byte
	if len(back) > 0 {
		b = slices.Concat(buf, back)
	} else if b, err = r.receive(buf); err != nil {
		return buf, err
	}
	if len(b) == 0 || b[0] > byBytes {
		return buf, codecError("message", "decoded", errBadMessage)
	}

	if err := fits(b); err != nil {
		if len(back) == 0 {
			back = append([]byte(nil), b...)
		}
		return buf, err
	}
	back = nil
	return b, nil
}

// Poll reports whether a message, or the error of a closed end, can be received at once. It waits
// at most the given time. If ctx ends first, Poll returns ctx's error. Poll takes no message.
func (c *Conn[T]) Poll(ctx context.Context, wait time.Duration) (ready bool, err error) {
	x, err := c.begin(ctx)
	if err != nil {
		return false, err
	}
	defer x.leave()
	if err := x.mayReceive(); err != nil {
		return false, err
	}

	if ready = x.turns.holds() || x.readyNow(); ready || wait <= 0 {
		return ready, nil
	}

	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for !ready && short.Err() == nil {
		ready = x.awaitOnce(short)
	}

	if ready {
		return true, nil
	}
	return false, ended(ctx, ctx.Err())
}

// awaitOnce waits until there is something to receive. It may also return false, because another
// goroutine can take a held message first.
func (x *conn[T]) awaitOnce(ctx context.Context) (ready bool) {
	told, tell := context.WithCancel(ctx)
	defer tell()
	defer x.turns.whenHeld(tell)()
	return x.turns.holds() || x.await(told) == nil || x.turns.holds()
}

// Close closes this end. Calls that use it, and later ones, return [ErrClosed]. Closing twice is
// fine.
func (c *Conn[T]) Close() error {
	if c.in == nil {
		return errNotMade
	}
	c.in.shut(c.in.envelope.drop)
	c.in.turns.end()
	return nil
}

// Depart lets the end leave with the message that is about to be encoded.
func (x *conn[T]) Depart(forGood bool) error {
	if x.turns.holds() {
		return errHeld
	}
	return x.depart(forGood)
}

// Return takes the end back from a message that was not sent.
func (x *conn[T]) Return() { x.comeBack() }

// Settle lets the end stay on its way even if this process dies.
func (x *conn[T]) Settle() { x.settle() }

// Lose closes the end if no process will receive the end's message.
func (x *conn[T]) Lose() { x.lose() }

// Ticket returns what another process needs to take the end while it is on its way.
func (x *conn[T]) Ticket() ([]byte, error) { return x.ticket() }

// MarshalBinary encodes the end for a message of mp. The end moves with the message.
func (c *Conn[T]) MarshalBinary() ([]byte, error) {
	if c.in == nil {
		return nil, errNotMade
	}
	b, err := c.in.Ticket()
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint64(b, c.in.envelope.codec.Fingerprint())
	return binary.LittleEndian.AppendUint64(b, uint64(c.in.longest())), nil
}

// UnmarshalBinary sets c to the encoded end, which belongs to this process from now on.
func (c *Conn[T]) UnmarshalBinary(data []byte) error {
	cd, err := codec.ForMessage[T]()
	if err != nil {
		return err
	}
	if len(data) != ticketSize+16 {
		return errNoConn
	}

	if binary.LittleEndian.Uint64(data[ticketSize:]) != cd.Fingerprint() {
		return fmt.Errorf("mp: a connection of another type than %v", reflect.TypeFor[T]())
	}

	most := int(binary.LittleEndian.Uint64(data[ticketSize+8:]))
	if most < 1 {
		return errNoConn
	}

	end, err := arrive(data[:ticketSize], most, cd.Carries())
	if err != nil {
		return err
	}
	*c = *newConn(end, end.mem, cd)
	return nil
}

// newConn makes a Conn from a line. Messages lie in the object in, which is nil for a Transport.
func newConn[T any](l line, in *objects.Object, cd *codec.Type[T]) *Conn[T] {
	e := envelope[T]{cd, in}
	x := &conn[T]{line: l, envelope: e, turns: &turns{line: l, drop: e.drop}}
	l.foresee(func(message []byte) { ofValue(message, e.foresee) })
	canonical := &Conn[T]{x}
	x.handle = handle{in, canonical}
	runtime.AddCleanup(canonical, func(t *turns) { go t.forget() }, x.turns)
	return canonical
}

func (c *Conn[T]) shared() *handle {
	if c.in == nil {
		return nil
	}
	return &c.in.handle
}

func (c *Conn[T]) moving() codec.Mover { return c.in }
