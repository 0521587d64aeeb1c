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
type Barrier struct{ b *barrier }

type barrier struct {
	handle
	x *xsync.Barrier
}

// NewBarrier makes a Barrier for 1 to 2,147,483,647 parties; see [NewMutex]. It takes 8 KiB
// of addresses, and usually some hundred bytes of memory.
func NewBarrier(parties int, cfg ObjectConfig) (*Barrier, error) {
	if parties < 1 || parties > xsync.MaxPermits {
		return nil, fmt.Errorf("mp: NewBarrier: %d parties: give 1 to %d", parties, xsync.MaxPermits)
	}
	o, err := share.New(xsync.KindBarrier, xsync.Large, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	b := &barrier{x: xsync.NewBarrier(o.Memory(), parties)}
	return made(o, &Barrier{b}, &b.handle), nil
}

// Wait waits until all parties have arrived. Each gets another index: the last to arrive
// 0, the first one less than there are parties. On error this party has not passed. The error is
// ctx's, [ErrBroken] or [ErrClosed], or [ErrCorrupt] if another process keeps overwriting the Barrier.
func (b *Barrier) Wait(ctx context.Context) (index int, err error) { return b.WaitDo(ctx, nil) }

// WaitDo is Wait with something to be done before anybody goes on: the party that gets index
// 0 calls its action. If that returns an error or panics, the Barrier is broken, and that
// party gets the error.
func (b *Barrier) WaitDo(ctx context.Context, action func() error) (index int, err error) {
	if b.b == nil {
		return 0, errNotMade
	}
	index, err = b.b.x.Wait(ctx, action)
	return index, ended(ctx, err)
}

// Abort breaks the Barrier until Reset is called. Abort, Reset, Broken and Waiting do not block. Their
// only error is [ErrClosed]; Reset also returns [ErrCorrupt] if another process keeps overwriting the
// Barrier.
func (b *Barrier) Abort() error {
	if b.b == nil {
		return errNotMade
	}
	return b.b.x.Abort()
}

// Reset makes the Barrier as new. Parties that are waiting get [ErrBroken].
func (b *Barrier) Reset() error {
	if b.b == nil {
		return errNotMade
	}
	return b.b.x.Reset()
}

// Broken reports whether the Barrier is broken.
func (b *Barrier) Broken() (bool, error) {
	if b.b == nil {
		return false, errNotMade
	}
	return b.b.x.Broken()
}

// Parties is the number of parties.
func (b *Barrier) Parties() int {
	if b.b == nil {
		return 0
	}
	return b.b.x.Parties()
}

// Waiting is how many parties have arrived and wait for the others.
func (b *Barrier) Waiting() (int, error) {
	if b.b == nil {
		return 0, errNotMade
	}
	return b.b.x.Waiting()
}

// Close closes the Barrier: for all processes if this process owns it, else for this process
// alone. The owner is the process that made the Barrier, or received it as the result of a task.
// Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (b *Barrier) Close() error {
	if b.b == nil {
		return errNotMade
	}
	b.b.close(b.b.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (b *Barrier) MarshalBinary() ([]byte, error) { return marshal(b.shared()) }

// UnmarshalBinary makes b a handle of the encoded Barrier.
func (b *Barrier) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindBarrier, b, func(o *share.Object, _ []byte) (*Barrier, error) {
		x := &barrier{x: xsync.OpenBarrier(o.Memory())}
		face := &Barrier{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (b *Barrier) shared() *handle {
	if b.b == nil {
		return nil
	}
	return &b.b.handle
}

func (b *Barrier) weakly() func() any { return weakly(b) }
