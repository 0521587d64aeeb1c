package ipc

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Cond lets goroutines of several processes that hold a [Mutex] in turn wait for each
// other. It can be sent, with its Mutex, and is safe for concurrent use.
//
// A signal that was given to a process which died before it could act goes to somebody
// else who waits. But nobody is told what a process that dies has changed without
// signalling: after [Mutex.Recover], lock and Broadcast.
//
// There is no Cond for a [RecursiveMutex], whose holder may have locked it several times.
type Cond struct{ c *cond }

type cond struct {
	handle
	x    *xsync.Cond
	lock *Mutex
}

// NewCond makes a Cond for a Mutex; see [NewMutex]. It takes 8 KiB of addresses, and
// usually some hundred bytes of memory.
func NewCond(lock *Mutex, cfg ObjectConfig) (*Cond, error) {
	if lock == nil || lock.m == nil {
		return nil, errors.New("mp: NewCond: the Mutex is nil")
	}
	o, err := share.New(xsync.KindCond, xsync.Large, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	c := &cond{x: xsync.NewCond(o.Memory(), lock.m.x), lock: lock}
	return made(o, &Cond{c}, &c.handle), nil
}

// Mutex is the Mutex of the Cond; nil for a Cond that no constructor has made.
func (c *Cond) Mutex() *Mutex {
	if c.c == nil {
		return nil
	}
	return c.c.lock
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
	if c.c == nil {
		return errNotMade
	}
	return ended(ctx, c.c.x.Wait(ctx))
}

// WaitFor waits, with the Mutex held, until holds returns true. It calls holds at first and
// after each signal, with the Mutex held. The errors are those of Wait.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	if c.c == nil {
		return errNotMade
	}
	if err := c.c.lock.m.x.Held(); err != nil {
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
	if c.c == nil {
		return errNotMade
	}
	return c.c.x.Signal()
}

// Broadcast wakes all that wait. If this process does not hold the Mutex, that is
// [ErrNotHeld].
func (c *Cond) Broadcast() error {
	if c.c == nil {
		return errNotMade
	}
	return c.c.x.Broadcast()
}

// Close closes the Cond, not its Mutex: for all processes if this process owns it, else for this
// process alone. The owner is the process that made the Cond, or received it as the result of a
// task. Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (c *Cond) Close() error {
	if c.c == nil {
		return errNotMade
	}
	c.c.close(c.c.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (c *Cond) MarshalBinary() ([]byte, error) { return marshalWith(c.shared(), c.Mutex()) }

// UnmarshalBinary makes c a handle of the encoded Cond.
func (c *Cond) UnmarshalBinary(data []byte) error {
	lock, err := lockOf(data[min(share.TokenSize, len(data)):])
	if err != nil {
		return err
	}
	return meet(data, xsync.KindCond, c, func(o *share.Object, _ []byte) (*Cond, error) {
		x := &cond{x: xsync.OpenCond(o.Memory(), lock.m.x), lock: lock}
		face := &Cond{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (c *Cond) shared() *handle {
	if c.c == nil {
		return nil
	}
	return &c.c.handle
}

func (c *Cond) weakly() func() any { return weakly(c) }

// marshalWith encodes a handle and that of the Mutex that belongs to it.
func marshalWith(h *handle, lock *Mutex) ([]byte, error) {
	b, err := marshal(h)
	if err != nil {
		return nil, err
	}
	l, err := marshal(lock.shared())
	return append(b, l...), err
}
