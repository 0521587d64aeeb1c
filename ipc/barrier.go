package ipc

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Barrier lets a fixed number of goroutines of several processes, the parties, wait until
// all have arrived, again and again. It can be sent like a [Mutex] and is safe for
// concurrent use.
//
// When a party gives up, because its context ends, its process dies or its action fails,
// the others could wait for ever. So the Barrier is broken then: everybody who waits, or
// arrives, gets [ErrBroken], until [Barrier.Reset].
type Barrier struct {
	object[Barrier, barrier, *barrier]
}

type barrier struct {
	handle
	x *xsync.Barrier
}

func (*barrier) kind() xsync.Kind { return xsync.KindBarrier }

func (b *barrier) open(o *share.Object, _ []byte) error {
	b.x = xsync.OpenBarrier(o.Memory())
	return nil
}

func (b *barrier) end(owned bool) { b.x.Close(owned) }

// NewBarrier makes a Barrier for 1 to 2,147,483,647 parties; see [NewMutex]. It takes 8 KiB
// of addresses, and usually some hundred bytes of memory.
func NewBarrier(parties int, opts ...Option) (*Barrier, error) {
	if parties < 1 || parties > xsync.MaxPermits {
		return nil, fmt.Errorf("mp: NewBarrier: %d parties: give 1 to %d", parties, xsync.MaxPermits)
	}
	o, err := newObject(xsync.KindBarrier, xsync.Large, opts)
	if err != nil {
		return nil, err
	}
	return publish[Barrier](o, &barrier{x: xsync.NewBarrier(o.Memory(), parties)}), nil
}

// Wait waits until all parties have arrived. Each gets another index: the last to arrive
// 0, the first one less than there are parties. On error this party has not passed. The error is
// ctx's, [ErrBroken] or [ErrClosed], or [ErrCorrupt] if another process keeps overwriting the Barrier.
func (b *Barrier) Wait(ctx context.Context) (index int, err error) { return b.WaitDo(ctx, nil) }

// WaitDo is Wait with something to be done before anybody goes on: the party that gets index
// 0 calls its action. If that returns an error or panics, the Barrier is broken, and that
// party gets the error.
func (b *Barrier) WaitDo(ctx context.Context, action func() error) (index int, err error) {
	if b.in == nil {
		return 0, errNotMade
	}
	index, err = b.in.x.Wait(ctx, action)
	return index, ended(ctx, err)
}

// Abort breaks the Barrier until Reset is called. Abort, Reset, Broken and Waiting do not block. Their
// only error is [ErrClosed]; Reset also returns [ErrCorrupt] if another process keeps overwriting the
// Barrier.
func (b *Barrier) Abort() error {
	if b.in == nil {
		return errNotMade
	}
	return b.in.x.Abort()
}

// Reset makes the Barrier as new. Parties that are waiting get [ErrBroken].
func (b *Barrier) Reset() error {
	if b.in == nil {
		return errNotMade
	}
	return b.in.x.Reset()
}

// Broken reports whether the Barrier is broken.
func (b *Barrier) Broken() (bool, error) {
	if b.in == nil {
		return false, errNotMade
	}
	return b.in.x.Broken()
}

// Parties is the number of parties.
func (b *Barrier) Parties() int {
	if b.in == nil {
		return 0
	}
	return b.in.x.Parties()
}

// Waiting is how many parties have arrived and wait for the others.
func (b *Barrier) Waiting() (int, error) {
	if b.in == nil {
		return 0, errNotMade
	}
	return b.in.x.Waiting()
}
