package ipc

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Semaphore is a number of permits that goroutines of several processes take and give.
// It can be sent like a [Mutex] and is safe for concurrent use.
//
// Nobody owns a permit: whoever wants to releases it, also above the number at the start,
// and those of a dead process are gone. [BoundedSemaphore] counts.
type Semaphore struct {
	object[Semaphore, semaphore, *semaphore]
}

type semaphore struct {
	handle
	x *xsync.Semaphore
}

func (*semaphore) kind() xsync.Kind { return xsync.KindSemaphore }

func (s *semaphore) open(o *share.Object, _ []byte) error {
	s.x = xsync.OpenSemaphore(o.Memory())
	return nil
}

func (s *semaphore) end(owned bool) { s.x.Close(owned) }

// NewSemaphore makes a Semaphore with the given number of permits, from 0; see [NewMutex].
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

// Acquire takes a permit, and waits for one until ctx ends. On error no permit was taken. The
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

// Release adds a permit. Beyond 2,147,483,647 of them that is [ErrOverRelease].
func (s *Semaphore) Release() error {
	if s.in == nil {
		return errNotMade
	}
	return s.in.x.Release()
}

// Available is the number of permits, which may be another one already. The error can only
// be [ErrClosed].
func (s *Semaphore) Available() (int, error) {
	if s.in == nil {
		return 0, errNotMade
	}
	return s.in.x.Available()
}

// A BoundedSemaphore is a [Semaphore] that knows which process has each permit: there are
// never more than at the start, and those of a process that dies come back.
//
// Taking and giving a permit look at each in turn, a nanosecond for each.
type BoundedSemaphore struct {
	object[BoundedSemaphore, boundedSemaphore, *boundedSemaphore]
}

type boundedSemaphore struct {
	handle
	x *xsync.Bounded
}

func (*boundedSemaphore) kind() xsync.Kind { return xsync.KindBounded }

func (s *boundedSemaphore) open(o *share.Object, _ []byte) error {
	s.x = xsync.OpenBounded(o.Memory())
	return nil
}

func (s *boundedSemaphore) end(owned bool) { s.x.Close(owned) }

// NewBoundedSemaphore makes a BoundedSemaphore with 1 to 32,768 permits; see [NewMutex]. A
// permit takes eight bytes.
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

// Acquire takes a permit, and waits for one until ctx ends. On error no permit was taken. The
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

// Release gives a permit back: one of this process, or if it has none, one of another.
// When all are back already, that is [ErrOverRelease].
func (s *BoundedSemaphore) Release() error {
	if s.in == nil {
		return errNotMade
	}
	return s.in.x.Release()
}

// Available is the number of permits that nobody has, which may be another one already. The
// error can only be [ErrClosed].
func (s *BoundedSemaphore) Available() (int, error) {
	if s.in == nil {
		return 0, errNotMade
	}
	return s.in.x.Available()
}
