package ipc

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Cond lets goroutines of several processes wait for changes under a [Mutex]. It can be sent,
// together with its Mutex, and is safe for concurrent use. Closing a Cond does not close its Mutex.
//
// If a process dies before it can act on a signal, another waiter gets the signal. But if a process
// dies after it has changed something and before it has signaled, no waiter gets a signal: after
// [Mutex.Recover], lock the Mutex and call Broadcast.
//
// There is no Cond for a [RecursiveMutex], since its holder may have locked it several times.
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

func (c *cond) open(o *objects.Object, _ []byte) error {
	c.x = xsync.OpenCond(o.Memory(), c.lock.in.x)
	return nil
}

func (c *cond) end(owned bool) { c.x.Close(owned) }

// UnmarshalBinary makes c a handle to the encoded Cond and to its Mutex.
func (c *Cond) UnmarshalBinary(data []byte) error {
	lock, err := lockOf(data[min(objects.TokenSize, len(data)):])
	if err != nil {
		return err
	}
	return c.attach(data, &cond{lock: lock})
}

// lockOf returns the Mutex whose handle was encoded along with another object.
func lockOf(b []byte) (*Mutex, error) {
	var m Mutex
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return m.in.canonical.(*Mutex), nil
}

// NewCond makes a Cond for a Mutex. It takes 8 KiB of address space, and usually some hundred bytes
// of memory. Its other costs and its errors are those of [NewMutex]. A nil Mutex is an error.
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

// Mutex returns the Mutex of the Cond, or nil if no constructor has made the Cond.
func (c *Cond) Mutex() *Mutex {
	if c.in == nil {
		return nil
	}
	return c.in.lock
}

// Wait unlocks the Mutex, which the caller must hold, waits for a signal, and locks the Mutex
// again. Wait never wakes up without a signal, but the condition may have changed again before Wait
// has the Mutex: [Cond.WaitFor] checks the condition.
//
// The errors are:
//
//   - ctx's error: ctx ended first. The Mutex is held.
//   - [ErrNotHeld]: this process did not hold the Mutex, or another goroutine or process kept it
//     for five seconds after ctx ended. Do not call Unlock: another goroutine of this process may
//     hold the Mutex.
//   - [ErrOwnerDied]: a holder died (see [Mutex.Lock]). The Mutex is not held.
//   - [ErrClosed]: the Cond or the Mutex is closed. The Mutex is held, unless it is closed itself.
//
// If Wait received a signal before one of these errors, the signal goes to another waiter.
//
// Python's wait locks again, however long that takes. Wait gives up, because otherwise a process
// that never unlocks would keep callers waiting beyond the end of their contexts.
func (c *Cond) Wait(ctx context.Context) error {
	if c.in == nil {
		return errNotMade
	}
	return ended(ctx, c.in.x.Wait(ctx))
}

// WaitFor waits until holds returns true. It calls holds first, and again after each signal. The
// caller must hold the Mutex, and holds runs with the Mutex held. The errors are those of Wait.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	if c.in == nil {
		return errNotMade
	}
	if err := c.in.lock.in.x.CheckHeld(); err != nil {
		return err
	}
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Signal wakes one waiting goroutine in any process, if there is one. If this process does not hold
// the Mutex, Signal returns [ErrNotHeld].
func (c *Cond) Signal() error {
	if c.in == nil {
		return errNotMade
	}
	return c.in.x.Signal()
}

// Broadcast wakes all waiting goroutines. If this process does not hold the Mutex, Broadcast
// returns [ErrNotHeld].
func (c *Cond) Broadcast() error {
	if c.in == nil {
		return errNotMade
	}
	return c.in.x.Broadcast()
}
