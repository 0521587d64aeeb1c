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

// A Cond is a proxy of a condition in a manager: those who hold a [Mutex] in turn wait for each
// other, as with [ipc.Cond]. There is no Cond for a [RecursiveMutex], whose holder may have locked it
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

// relocking is how long Wait waits after its context has ended until the manager gives the Mutex back, which another
// client may need for its work. Tests make it shorter.
var relocking = 5 * time.Second

var errNotHeldAgain = fmt.Errorf("%w: the context of a Cond's Wait has ended, and the manager has not given the Mutex back", ipc.ErrNotHeld)

// Wait gives the Mutex up, which must be held, waits for a signal, and takes it again. When ctx ends
// first, the error is ctx's, and the Mutex is held as well. It is held too if Wait returns [ErrLimit]: then the
// manager has no room for one more that waits, and nothing has happened. With any other error the Mutex is not
// held. [ipc.ErrNotHeld] says that this process did not hold it at all, or that five seconds after ctx has ended the
// manager had not given it back: it is stopped, or another client keeps the Mutex. If it does so later, the Mutex is
// given up again at once, and a signal goes to another one who waits.
//
// A Wait of Python's takes the lock again however long that takes. Here a client that never gives it up
// would keep others from the end of their contexts: so who gets ErrNotHeld must not call Unlock, which
// could be that of another goroutine.
func (c *Cond) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return cause.Of(ctx)
	}
	r, err := c.p.begin(store.OpCondWait)
	if err != nil {
		return err
	}
	s, id := c.p.s, c.p.id
	r.patience, r.unanswered = relocking, errNotHeldAgain
	r.late = func(answer []byte) {
		_, err := store.Answer(answer)
		if err != nil && !errors.Is(err, errCanceled) && !errors.Is(err, ErrLimit) {
			return // it is not held
		}
		undo := s.begin(store.OpCondUnlock, id)
		undo.Bool(err == nil) // it has been signalled
		_ = undo.do(context.Background(), nil)
	}
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
// [ipc.ErrNotHeld].
func (c *Cond) Signal(ctx context.Context) error { return c.signal(ctx, false) }

// Broadcast wakes all who wait. If this process does not hold the Mutex, that is [ipc.ErrNotHeld].
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
