package ipc

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A BoundedSemaphore is a [Semaphore] that knows which process has each permit: there are
// never more than at the start, and those of a process that dies come back.
//
// Taking and giving a permit look at each in turn, a nanosecond for each.
type BoundedSemaphore struct{ s *boundedSemaphore }

type boundedSemaphore struct {
	handle
	x *xsync.Bounded
}

// NewBoundedSemaphore makes a BoundedSemaphore with 1 to 32,768 permits; see [NewMutex]. A
// permit takes eight bytes.
func NewBoundedSemaphore(permits int, cfg ObjectConfig) (*BoundedSemaphore, error) {
	if permits < 1 || permits > xsync.MaxBounded {
		return nil, fmt.Errorf("mp: NewBoundedSemaphore: %d permits: give 1 to %d", permits, xsync.MaxBounded)
	}
	o, err := share.New(xsync.KindBounded, xsync.BoundedSize(permits), cfg.Isolated)
	if err != nil {
		return nil, err
	}
	s := &boundedSemaphore{x: xsync.NewBounded(o.Memory(), permits)}
	return made(o, &BoundedSemaphore{s}, &s.handle), nil
}

// Acquire takes a permit, and waits for one until ctx ends. On error no permit was taken. The
// error is ctx's or [ErrClosed].
func (s *BoundedSemaphore) Acquire(ctx context.Context) error {
	if s.s == nil {
		return errNotMade
	}
	return ended(ctx, s.s.x.Acquire(ctx))
}

// TryAcquire takes a permit if there is one, and reports whether it did.
func (s *BoundedSemaphore) TryAcquire() (bool, error) {
	if s.s == nil {
		return false, errNotMade
	}
	return s.s.x.TryAcquire()
}

// Release gives a permit back: one of this process, or if it has none, one of another.
// When all are back already, that is [ErrOverRelease].
func (s *BoundedSemaphore) Release() error {
	if s.s == nil {
		return errNotMade
	}
	return s.s.x.Release()
}

// Available is the number of permits that nobody has, which may be another one already. The
// error can only be [ErrClosed].
func (s *BoundedSemaphore) Available() (int, error) {
	if s.s == nil {
		return 0, errNotMade
	}
	return s.s.x.Available()
}

// Close closes the BoundedSemaphore: for all processes if this process owns it, else for this
// process alone. The owner is the process that made the BoundedSemaphore, or received it as the
// result of a task. Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (s *BoundedSemaphore) Close() error {
	if s.s == nil {
		return errNotMade
	}
	s.s.close(s.s.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (s *BoundedSemaphore) MarshalBinary() ([]byte, error) { return marshal(s.shared()) }

// UnmarshalBinary makes s a handle of the encoded BoundedSemaphore.
func (s *BoundedSemaphore) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindBounded, s, func(o *share.Object, _ []byte) (*BoundedSemaphore, error) {
		x := &boundedSemaphore{x: xsync.OpenBounded(o.Memory())}
		face := &BoundedSemaphore{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (s *BoundedSemaphore) shared() *handle {
	if s.s == nil {
		return nil
	}
	return &s.s.handle
}

func (s *BoundedSemaphore) weakly() func() any { return weakly(s) }
