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
type Semaphore struct{ s *semaphore }

type semaphore struct {
	handle
	x *xsync.Semaphore
}

// NewSemaphore makes a Semaphore with the given number of permits, from 0; see [NewMutex].
func NewSemaphore(permits int, cfg ObjectConfig) (*Semaphore, error) {
	if permits < 0 || permits > xsync.MaxPermits {
		return nil, fmt.Errorf("mp: NewSemaphore: %d permits: give 0 to %d", permits, xsync.MaxPermits)
	}
	o, err := share.New(xsync.KindSemaphore, xsync.Small, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	s := &semaphore{x: xsync.NewSemaphore(o.Memory(), permits)}
	return made(o, &Semaphore{s}, &s.handle), nil
}

// Acquire takes a permit, and waits for one until ctx ends. On error no permit was taken. The
// error is ctx's or [ErrClosed].
func (s *Semaphore) Acquire(ctx context.Context) error {
	if s.s == nil {
		return errNotMade
	}
	return ended(ctx, s.s.x.Acquire(ctx))
}

// TryAcquire takes a permit if there is one, and reports whether it did.
func (s *Semaphore) TryAcquire() (bool, error) {
	if s.s == nil {
		return false, errNotMade
	}
	return s.s.x.TryAcquire()
}

// Release adds a permit. Beyond 2,147,483,647 of them that is [ErrOverRelease].
func (s *Semaphore) Release() error {
	if s.s == nil {
		return errNotMade
	}
	return s.s.x.Release()
}

// Available is the number of permits, which may be another one already. The error can only
// be [ErrClosed].
func (s *Semaphore) Available() (int, error) {
	if s.s == nil {
		return 0, errNotMade
	}
	return s.s.x.Available()
}

// Close closes the Semaphore: for all processes if this process owns it, else for this process
// alone. The owner is the process that made the Semaphore, or received it as the result of a
// task. Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (s *Semaphore) Close() error {
	if s.s == nil {
		return errNotMade
	}
	s.s.close(s.s.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (s *Semaphore) MarshalBinary() ([]byte, error) { return marshal(s.shared()) }

// UnmarshalBinary makes s a handle of the encoded Semaphore.
func (s *Semaphore) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindSemaphore, s, func(o *share.Object, _ []byte) (*Semaphore, error) {
		x := &semaphore{x: xsync.OpenSemaphore(o.Memory())}
		face := &Semaphore{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (s *Semaphore) shared() *handle {
	if s.s == nil {
		return nil
	}
	return &s.s.handle
}

func (s *Semaphore) weakly() func() any { return weakly(s) }
