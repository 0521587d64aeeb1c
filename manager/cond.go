package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Cond is a proxy for a condition variable in a manager. As with [ipc.Cond], processes that share
// a [Mutex] use it to wait for each other. There is no Cond for a [RecursiveMutex], since the
// holder may have locked the RecursiveMutex several times.
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

// relocking is how long Wait waits, after its context has ended, for the manager to give the Mutex
// back. Another client may hold the Mutex meanwhile. Tests make relocking shorter.
var relocking = 5 * time.Second

var errNotHeldAgain = fmt.Errorf("%w: the context of a Cond's Wait has ended, and the manager has not given the Mutex back", ipc.ErrNotHeld)

// Wait releases the Mutex, which this process must hold, waits for a signal, and takes the Mutex
// again. If ctx ends first, the error is ctx's, and the Mutex is held again. The Mutex is also held
// if Wait returns [ErrLimit], which means that the manager has no room for one more waiter and that
// Wait has done nothing.
//
// With any other error the Mutex is not held. [ipc.ErrNotHeld] means that this process did not hold
// the Mutex in the first place, or that the manager had not given it back five seconds after the
// end of ctx, because the manager is stopped or another client keeps the Mutex. If the manager
// gives the Mutex back later, the Mutex is released at once, and a signal goes to another waiter.
//
// In Python, Wait takes the lock again however long that takes. Here, that would let a client that
// never releases the Mutex block other callers after their contexts have ended. A caller that gets
// ErrNotHeld must not call Unlock, which could release the lock for another goroutine.
func (c *Cond) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return cause.Of(ctx)
	}

	r, err := c.p.begin(store.OpCondWait)
	if err != nil {
		return err
	}
	s, id := c.p.s, c.p.id
	r.cancelTimeout, r.unanswered = relocking, errNotHeldAgain
	r.late = func(answer []byte) {
		_, err := store.Answer(answer)
		if err != nil && !errors.Is(err, errCanceled) && !errors.Is(err, ErrLimit) {
			return // the Mutex is not held
		}
		undo := s.begin(store.OpCondUnlock, id)
		undo.Bool(err == nil) // whether the signal must be passed on
		_ = undo.do(context.Background(), nil)
	}

	return r.do(ctx, nil)
}

// WaitFor waits until holds returns true. The caller must hold the Mutex. WaitFor calls holds with
// the Mutex held, once at the start and again after each signal. It returns the same errors as
// Wait. It checks that the Mutex is held only when it has to wait, since an earlier check would
// cost a message.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Signal wakes one waiter, if there is one. It returns [ipc.ErrNotHeld] if this process does not
// hold the Mutex.
func (c *Cond) Signal(ctx context.Context) error { return c.signal(ctx, false) }

// Broadcast wakes all waiters. It returns [ipc.ErrNotHeld] if this process does not hold the Mutex.
func (c *Cond) Broadcast(ctx context.Context) error { return c.signal(ctx, true) }

func (c *Cond) signal(ctx context.Context, all bool) error {
	r, err := c.p.begin(store.OpCondSignal)
	if err != nil {
		return err
	}
	r.Bool(all)
	return r.do(ctx, nil)
}

// Close ends the proxy, not the condition; see [Dict.Close].
func (c *Cond) Close() error { return c.p.close() }

// MarshalBinary encodes the proxy.
func (c *Cond) MarshalBinary() ([]byte, error) { return c.p.marshal() }

// UnmarshalBinary sets c to the proxy encoded in data.
func (c *Cond) UnmarshalBinary(data []byte) (err error) {
	c.p, err = unmarshal(data, store.KindCond, condShape)
	return err
}
