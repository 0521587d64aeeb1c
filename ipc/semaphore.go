package ipc

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Semaphore is a number of permits that goroutines of several processes acquire and release. It
// can be sent like a [Mutex] and is safe for concurrent use.
//
// A permit has no owner: any process can release one, even beyond the initial number, and the
// permits of a dead process are lost. A [BoundedSemaphore] keeps track of which process has which
// permit.
type Semaphore struct {
	object[Semaphore, semaphore, *semaphore]
}

type semaphore struct {
	handle
	x *xsync.Semaphore
}

func (*semaphore) kind() xsync.Kind { return xsync.KindSemaphore }

func (s *semaphore) open(o *objects.Object, _ []byte) error {
	s.x = xsync.OpenSemaphore(o.Memory())
	return nil
}

func (s *semaphore) end(owned bool) { s.x.Close(owned) }

// NewSemaphore makes a Semaphore with 0 to 2,147,483,647 permits. Its cost and its other errors are
// those of [NewMutex].
func NewSemaphore(permits int, opts ...Option) (*Semaphore, error) {
	if permits < 0 || permits > xsync.MaxPermits {
		return nil, fmt.Errorf("mp: NewSemaphore: %d permits: give 0 to %d", permits, xsync.MaxPermits)
	}
	o, err := newObject(xsync.KindSemaphore, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[Semaphore](o, &semaphore{x: xsync.NewSemaphore(o.Memory(), permits)}), nil
}

// Acquire takes a permit. It waits for a permit until ctx ends. On error, no permit was taken. The
// error is ctx's or [ErrClosed].
func (s *Semaphore) Acquire(ctx context.Context) error {
	if s.in == nil {
		return errNotMade
	}
	return ended(ctx, s.in.x.Acquire(ctx))
}

// TryAcquire takes a permit if there is one, and reports whether it did.
func (s *Semaphore) TryAcquire() (bool, error) {
	if s.in == nil {
		return false, errNotMade
	}
	return s.in.x.TryAcquire()
}

// Release adds a permit. If there are 2,147,483,647 permits already, Release returns
// [ErrOverRelease] and changes nothing.
func (s *Semaphore) Release() error {
	if s.in == nil {
		return errNotMade
	}
	return s.in.x.Release()
}

// Available returns the number of permits, which may have changed since. The only error is
// [ErrClosed].
func (s *Semaphore) Available() (int, error) {
	if s.in == nil {
		return 0, errNotMade
	}
	return s.in.x.Available()
}

// A BoundedSemaphore is a [Semaphore] that knows which process has each permit. There are never
// more permits than at the start, and the permits of a process that dies come back.
//
// Acquire and Release look at the permits in turn, which takes a nanosecond for each permit.
type BoundedSemaphore struct {
	object[BoundedSemaphore, boundedSemaphore, *boundedSemaphore]
}

type boundedSemaphore struct {
	handle
	x *xsync.Bounded
}

func (*boundedSemaphore) kind() xsync.Kind { return xsync.KindBounded }

func (s *boundedSemaphore) open(o *objects.Object, _ []byte) error {
	s.x = xsync.OpenBounded(o.Memory())
	return nil
}

func (s *boundedSemaphore) end(owned bool) { s.x.Close(owned) }

// NewBoundedSemaphore makes a BoundedSemaphore with 1 to 32,768 permits. A permit takes eight
// bytes. The other costs and the errors are those of [NewMutex].
func NewBoundedSemaphore(permits int, opts ...Option) (*BoundedSemaphore, error) {
	if permits < 1 || permits > xsync.MaxBounded {
		return nil, fmt.Errorf("mp: NewBoundedSemaphore: %d permits: give 1 to %d", permits, xsync.MaxBounded)
	}
	o, err := newObject(xsync.KindBounded, xsync.BoundedSize(permits), opts)
	if err != nil {
		return nil, err
	}
	return publish[BoundedSemaphore](o, &boundedSemaphore{x: xsync.NewBounded(o.Memory(), permits)}), nil
}

// Acquire takes a permit. It waits for a permit until ctx ends. On error, no permit was taken. The
// error is ctx's or [ErrClosed].
func (s *BoundedSemaphore) Acquire(ctx context.Context) error {
	if s.in == nil {
		return errNotMade
	}
	return ended(ctx, s.in.x.Acquire(ctx))
}

// TryAcquire takes a permit if there is one, and reports whether it did.
func (s *BoundedSemaphore) TryAcquire() (bool, error) {
	if s.in == nil {
		return false, errNotMade
	}
	return s.in.x.TryAcquire()
}

// Release gives a permit back: one of this process's, or if this process has none, one of another
// process's. If no permit is taken, Release returns [ErrOverRelease] and changes nothing.
func (s *BoundedSemaphore) Release() error {
	if s.in == nil {
		return errNotMade
	}
	return s.in.x.Release()
}

// Available returns the number of free permits, which may have changed since. The only error is
// [ErrClosed].
func (s *BoundedSemaphore) Available() (int, error) {
	if s.in == nil {
		return 0, errNotMade
	}
	return s.in.x.Available()
}
