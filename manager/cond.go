package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/store"
)

// A Cond is a proxy of a condition in a manager: those who hold a [Mutex] in turn wait for each
// other, as with [mp.Cond]. There is no Cond for a [RecursiveMutex], whose holder may have locked it
// several times.
type Cond struct{ p *proxy }

var condShape = store.Shape(store.KindCond)

// NewCond makes a Cond for a Mutex of the same manager.
func NewCond(ctx context.Context, m *Manager, lock *Mutex, opts ...Option) (*Cond, error) {
	p, err := m.make(ctx, store.KindCond, condShape, opts, func(r *request) error {
		if lock == nil {
			return errNotMade
		}
		return r.object(lock.p)
	})
	if err != nil {
		return nil, err
	}
	return &Cond{p}, nil
}

// Wait gives the Mutex up, which must be held, waits for a signal, and takes it again. When ctx ends
// first, the error is that of ctx, and the Mutex is held as well. So it is if Wait returns
// [mp.ErrNotHeld], which says that this process did not hold it at all. With any other error it is
// not held.
func (c *Cond) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return cause.Of(ctx)
	}
	r, err := c.p.begin(store.OpCondWait)
	if err != nil {
		return err
	}
	r.patient = true
	return r.do(ctx, nil)
}

// WaitFor waits, with the Mutex held, until holds returns true. It calls holds at first and after each
// signal, with the Mutex held. The errors are those of Wait. Whether the Mutex is held is seen when it
// has to wait: to ask before would take a message.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Signal wakes one who waits, if there is one. If this process does not hold the Mutex, that is
// [mp.ErrNotHeld].
func (c *Cond) Signal(ctx context.Context) error { return c.signal(ctx, false) }

// Broadcast wakes all who wait. If this process does not hold the Mutex, that is [mp.ErrNotHeld].
func (c *Cond) Broadcast(ctx context.Context) error { return c.signal(ctx, true) }

func (c *Cond) signal(ctx context.Context, all bool) error {
	r, err := c.p.begin(store.OpCondSignal)
	if err != nil {
		return err
	}
	r.Bool(all)
	return r.do(ctx, nil)
}

// Close is [Dict.Close]: it ends the proxy, not the condition.
func (c *Cond) Close() error { return c.p.close() }

// MarshalBinary encodes the proxy.
func (c *Cond) MarshalBinary() ([]byte, error) { return c.p.marshal() }

// UnmarshalBinary makes c a proxy of what was encoded.
func (c *Cond) UnmarshalBinary(data []byte) (err error) {
	c.p, err = unmarshal(data, store.KindCond, condShape)
	return err
}
