package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Barrier is a proxy for a barrier in a manager. As with [ipc.Barrier], its parties wait until
// all have arrived. If a party's context ends, its process dies or its action fails, the Barrier
// breaks: all parties get [ipc.ErrBroken] until [Barrier.Reset] is called.
type Barrier struct{ p *proxy }

var barrierShape = store.Shape(store.KindBarrier)

// NewBarrier makes a Barrier for the given number of parties in a manager.
func NewBarrier(ctx context.Context, m *Manager, parties int, opts ...Option) (*Barrier, error) {
	if parties < 1 {
		return nil, fmt.Errorf("manager: NewBarrier: %d parties", parties)
	}
	p, err := m.make(ctx, store.KindBarrier, barrierShape, opts, func(r *request) error { r.Int(parties); return nil })
	if err != nil {
		return nil, err
	}
	return &Barrier{p}, nil
}

// Wait waits until all parties have arrived. Each party gets a different index; the last to arrive
// gets 0. On error this party has not passed. The error is ctx's or [ipc.ErrBroken].
func (b *Barrier) Wait(ctx context.Context) (index int, err error) { return b.WaitDo(ctx, nil) }

// WaitDo is like Wait, but the party that gets index 0 calls its action before any party goes on.
// If the action returns an error or panics, the Barrier breaks, and the party that called the
// action gets the error.
func (b *Barrier) WaitDo(ctx context.Context, action func() error) (index int, err error) {
	r, err := b.p.begin(store.OpBarrierWait)
	if err != nil {
		return 0, err
	}

	r.Bool(action != nil)
	act := false
	err = r.do(ctx, func(in *store.Reader) error { index, act = in.Int(), in.Bool(); return nil })
	if err != nil || !act {
		return index, err
	}
	ok := false
	defer func() {
		if !ok {
			_ = b.done(false)
		}
	}()

	if err := action(); err != nil {
		return 0, err
	}
	ok = true
	return 0, b.done(true)
}

// done tells the manager whether the action has succeeded.
func (b *Barrier) done(ok bool) error {
	r, err := b.p.begin(store.OpBarrierDone)
	if err != nil {
		return err
	}
	r.Bool(ok)
	ctx, cancel := context.WithTimeout(context.Background(), doneTimeout)
	defer cancel()
	return r.do(ctx, nil)
}

// doneTimeout is how long the last party waits for the manager to note the result of the party's
// action. A live manager notes it at once.
const doneTimeout = 10 * time.Second

// Abort breaks the Barrier until Reset is called.
func (b *Barrier) Abort(ctx context.Context) error { return b.p.ask(ctx, store.OpBarrierAbort, nil) }

// Reset returns the Barrier to its initial state. Waiting parties get [ipc.ErrBroken].
func (b *Barrier) Reset(ctx context.Context) error { return b.p.ask(ctx, store.OpBarrierReset, nil) }

// BarrierState is a snapshot of a [Barrier].
type BarrierState struct {
	Parties, Waiting int
	Broken           bool
}

// State returns a snapshot of the Barrier.
func (b *Barrier) State(ctx context.Context) (st BarrierState, err error) {
	err = b.p.ask(ctx, store.OpBarrierState, func(in *store.Reader) error {
		st = BarrierState{in.Int(), in.Int(), in.Bool()}
		return nil
	})
	return st, err
}

// Close ends the proxy, not the barrier; see [Dict.Close].
func (b *Barrier) Close() error { return b.p.close() }

// MarshalBinary encodes the proxy.
func (b *Barrier) MarshalBinary() ([]byte, error) { return b.p.marshal() }

// UnmarshalBinary sets b to the proxy encoded in data.
func (b *Barrier) UnmarshalBinary(data []byte) (err error) {
	b.p, err = unmarshal(data, store.KindBarrier, barrierShape)
	return err
}
