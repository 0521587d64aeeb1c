package ipc

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An RWMutex is a lock that one process at a time may hold to write, or any number of
// them to read. Like a [Mutex] it can be sent, is held by processes, tells of a writer's death
// with [ErrOwnerDied], and wakes with one thread a process. A reader that dies has read.
//
// A writer that waits keeps new readers out, and the readers that waited for a writer go
// before the next writer. RLock and RUnlock cost some twenty nanoseconds without a writer,
// and readers of different processes do not touch the same memory; a writer looks at
// each process.
type RWMutex struct {
	object[RWMutex, rwMutex, *rwMutex]
}

type rwMutex struct {
	handle
	x *xsync.RWMutex
}

func (*rwMutex) kind() xsync.Kind { return xsync.KindRWMutex }

func (m *rwMutex) open(o *share.Object, _ []byte) error {
	m.x = xsync.OpenRWMutex(o.Memory())
	return nil
}

func (m *rwMutex) end(owned bool) { m.x.Close(owned) }

// NewRWMutex makes an RWMutex, which lives until [RWMutex.Close]; see [NewMutex]. It
// takes 8 KiB of addresses, and usually some hundred bytes of memory.
func NewRWMutex(opts ...Option) (*RWMutex, error) {
	o, err := newObject(xsync.KindRWMutex, xsync.Large, opts)
	if err != nil {
		return nil, err
	}
	return publish[RWMutex](o, &rwMutex{x: xsync.NewRWMutex(o.Memory())}), nil
}

// RLock locks the RWMutex to read, and waits for that until ctx ends. On error the lock is not
// held. The error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RWMutex) RLock(ctx context.Context) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.RLock(ctx))
}

// TryRLock takes the lock to read if it is free for that, and reports whether it did.
func (m *RWMutex) TryRLock() (bool, error) {
	if m.in == nil {
		return false, errNotMade
	}
	return m.in.x.TryRLock()
}

// RUnlock gives up what RLock took. If no goroutine of this process holds the lock to
// read, that is [ErrNotHeld] and nothing is changed.
func (m *RWMutex) RUnlock() error {
	if m.in == nil {
		return errNotMade
	}
	return m.in.x.RUnlock()
}

// Lock locks the RWMutex to write, and waits for that until ctx ends. On error the lock is not
// held. The error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RWMutex) Lock(ctx context.Context) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Lock(ctx))
}

// TryLock takes the lock to write if nobody holds it, and reports whether it did.
func (m *RWMutex) TryLock() (bool, error) {
	if m.in == nil {
		return false, errNotMade
	}
	return m.in.x.TryLock()
}

// Unlock gives up what Lock took. If this process does not hold the lock to write, that
// is [ErrNotHeld] and nothing is changed.
func (m *RWMutex) Unlock() error {
	if m.in == nil {
		return errNotMade
	}
	return m.in.x.Unlock()
}

// Recover is [Mutex.Recover], after the death of a writer.
func (m *RWMutex) Recover(ctx context.Context, repair func() error) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Recover(ctx, repair))
}

// Locker is [Mutex.Locker] for Lock and Unlock.
func (m *RWMutex) Locker() sync.Locker { return locker{m.Lock, m.Unlock} }

// RLocker is [Mutex.Locker] for RLock and RUnlock.
func (m *RWMutex) RLocker() sync.Locker { return locker{m.RLock, m.RUnlock} }
