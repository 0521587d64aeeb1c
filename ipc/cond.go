package ipc

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Cond lets goroutines of several processes that hold a [Mutex] in turn wait for each
// other. It can be sent, with its Mutex, and is safe for concurrent use. Closing
// a Cond does not close its Mutex.
//
// A signal that was given to a process which died before it could act goes to somebody
// else who waits. But nobody is told what a process that dies has changed without
// signalling: after [Mutex.Recover], lock and Broadcast.
//
// There is no Cond for a [RecursiveMutex], whose holder may have locked it several times.
type Cond struct {
	object[Cond, cond, *cond]
}

type cond struct {
	handle
	x    *xsync.Cond
	lock *Mutex
}

func (*cond) kind() xsync.Kind { return xsync.KindCond }

func (c *cond) encode(b []byte) ([]byte, error) {
	l, err := c.lock.MarshalBinary()
	return append(b, l...), err
}

func (c *cond) open(o *share.Object, _ []byte) error {
	c.x = xsync.OpenCond(o.Memory(), c.lock.in.x)
	return nil
}

func (c *cond) end(owned bool) { c.x.Close(owned) }

// UnmarshalBinary makes c a handle of the encoded Cond, and of its Mutex.
func (c *Cond) UnmarshalBinary(data []byte) error {
	lock, err := lockOf(data[min(share.TokenSize, len(data)):])
	if err != nil {
		return err
	}
	return c.attach(data, &cond{lock: lock})
}

// lockOf returns the Mutex whose handle was encoded with another object.
func lockOf(b []byte) (*Mutex, error) {
	var m Mutex
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return m.in.canonical.(*Mutex), nil
}

// NewCond makes a Cond for a Mutex; see [NewMutex]. It takes 8 KiB of addresses, and
// usually some hundred bytes of memory.
func NewCond(lock *Mutex, opts ...Option) (*Cond, error) {
	if lock == nil || lock.in == nil {
		return nil, errors.New("mp: NewCond: the Mutex is nil")
	}
	o, err := newObject(xsync.KindCond, xsync.Large, opts)
	if err != nil {
		return nil, err
	}
	return publish[Cond](o, &cond{x: xsync.NewCond(o.Memory(), lock.in.x), lock: lock}), nil
}

// Mutex is the Mutex of the Cond; nil for a Cond that no constructor has made.
func (c *Cond) Mutex() *Mutex {
	if c.in == nil {
		return nil
	}
	return c.in.lock
}

// Wait unlocks the Mutex, which must be held, waits for a signal, and locks the Mutex again. When ctx
// ends first, the error is ctx's, and the Mutex is held. On [ErrNotHeld] and [ErrOwnerDied] it is not held:
// ErrNotHeld means that this process did not hold it when it called Wait, or that another goroutine or
// process kept it for five seconds after ctx ended; ErrOwnerDied is that of [Mutex.Lock]. On [ErrClosed]
// the Mutex is held unless it is closed itself.
// A signal that Wait had received before such an error goes to another waiter.
//
// In Python wait locks again however long that takes. Here a process that never unlocks, a corrupt one
// for instance, would keep callers beyond the end of their contexts. After ErrNotHeld do not call
// Unlock: the Mutex may be held by another goroutine of this process.
//
// There is no wake-up without a signal. But the condition may have changed again before
// the Mutex is held; [Cond.WaitFor] looks.
func (c *Cond) Wait(ctx context.Context) error {
	if c.in == nil {
		return errNotMade
	}
	return ended(ctx, c.in.x.Wait(ctx))
}

// WaitFor waits, with the Mutex held, until holds returns true. It calls holds at first and
// after each signal, with the Mutex held. The errors are those of Wait.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	if c.in == nil {
		return errNotMade
	}
	if err := c.in.lock.in.x.Held(); err != nil {
		return err
	}
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Signal wakes one goroutine of some process that waits, if there is one. If this process
// does not hold the Mutex, that is [ErrNotHeld].
func (c *Cond) Signal() error {
	if c.in == nil {
		return errNotMade
	}
	return c.in.x.Signal()
}

// Broadcast wakes all that wait. If this process does not hold the Mutex, that is
// [ErrNotHeld].
func (c *Cond) Broadcast() error {
	if c.in == nil {
		return errNotMade
	}
	return c.in.x.Broadcast()
}
