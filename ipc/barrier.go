package ipc

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Barrier lets a fixed number of goroutines of several processes, the parties, wait until all of
// them have arrived. After that, it can be used again. It can be sent like a [Mutex] and is safe
// for concurrent use.
//
// If a party's context ends, its process dies or its action fails, the other parties might wait
// forever. So the Barrier breaks: parties that wait or arrive get [ErrBroken] until
// [Barrier.Reset].
type Barrier struct {
	object[Barrier, barrier, *barrier]
}

type barrier struct {
	handle
	x *xsync.Barrier
}

func (*barrier) kind() xsync.Kind { return xsync.KindBarrier }

func (b *barrier) open(o *objects.Object, _ []byte) error {
	b.x = xsync.OpenBarrier(o.Memory())
	return nil
}

func (b *barrier) end(owned bool) { b.x.Close(owned) }

// NewBarrier makes a Barrier for 1 to 2,147,483,647 parties. It takes 8 KiB of address space, and
// usually some hundred bytes of memory. Its other costs and its errors are those of [NewMutex].
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

// Wait waits until all parties have arrived or ctx ends. Each party gets its own index: the last to
// arrive gets 0, the first gets the number of parties minus 1. On error, this party has not passed
// the Barrier. The error is ctx's, [ErrBroken], [ErrClosed], or [ErrCorrupt] if another process
// keeps overwriting the Barrier.
func (b *Barrier) Wait(ctx context.Context) (index int, err error) { return b.WaitDo(ctx, nil) }

// WaitDo is like Wait, but the party with index 0 calls its action before any party goes on. If the
// action returns an error or panics, the Barrier breaks and that party gets the error.
func (b *Barrier) WaitDo(ctx context.Context, action func() error) (index int, err error) {
	if b.in == nil {
		return 0, errNotMade
	}
	index, err = b.in.x.Wait(ctx, action)
	return index, ended(ctx, err)
}

// Abort breaks the Barrier until Reset. Abort, Reset, Broken and Waiting do not block. Their only
// error is [ErrClosed]. Reset also returns [ErrCorrupt] if another process keeps overwriting the
// Barrier.
func (b *Barrier) Abort() error {
	if b.in == nil {
		return errNotMade
	}
	return b.in.x.Abort()
}

// Reset makes the Barrier like new. Parties that wait get [ErrBroken].
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

// Parties returns the number of parties.
func (b *Barrier) Parties() int {
	if b.in == nil {
		return 0
	}
	return b.in.x.Parties()
}

// Waiting returns how many parties have arrived and wait for the others.
func (b *Barrier) Waiting() (int, error) {
	if b.in == nil {
		return 0, errNotMade
	}
	return b.in.x.Waiting()
}
