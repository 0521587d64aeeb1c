package ipc

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An RWMutex is a lock that any number of processes can hold for reading, or one process for
// writing. Like a [Mutex], it can be sent, it is held by processes, and a single thread in each
// process does the waiting. After a writer has died, callers get [ErrOwnerDied]. When a reader
// dies, its lock is released.
//
// A waiting writer keeps new readers out, and readers that have waited for a writer get the lock
// before the next writer. RLock and RUnlock take some twenty nanoseconds when there is no writer,
// and readers in different processes do not touch the same memory. A writer has to check each
// process.
type RWMutex struct {
	object[RWMutex, rwMutex, *rwMutex]
}

type rwMutex struct {
	handle
	x *xsync.RWMutex
}

func (*rwMutex) kind() xsync.Kind { return xsync.KindRWMutex }

func (m *rwMutex) open(o *objects.Object, _ []byte) error {
	m.x = xsync.OpenRWMutex(o.Memory())
	return nil
}

func (m *rwMutex) end(owned bool) { m.x.Close(owned) }

// NewRWMutex makes an RWMutex, which lives until [RWMutex.Close]. It takes 8 KiB of address space,
// and usually some hundred bytes of memory. Its other costs and its errors are those of [NewMutex].
func NewRWMutex(opts ...Option) (*RWMutex, error) {
	o, err := newObject(xsync.KindRWMutex, xsync.Large, opts)
	if err != nil {
		return nil, err
	}
	return publish[RWMutex](o, &rwMutex{x: xsync.NewRWMutex(o.Memory())}), nil
}

// RLock locks the RWMutex for reading. It waits for the lock until ctx ends. On error, the lock is
// not held. The error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RWMutex) RLock(ctx context.Context) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.RLock(ctx))
}

// TryRLock locks the RWMutex for reading if it can do so without waiting, and reports whether it
// did.
func (m *RWMutex) TryRLock() (bool, error) {
	if m.in == nil {
		return false, errNotMade
	}
	return m.in.x.TryRLock()
}

// RUnlock undoes one RLock. If no goroutine of this process holds the lock for reading, RUnlock
// returns [ErrNotHeld] and changes nothing.
func (m *RWMutex) RUnlock() error {
	if m.in == nil {
		return errNotMade
	}
	return m.in.x.RUnlock()
}

// Lock locks the RWMutex for writing. It waits for the lock until ctx ends. On error, the lock is
// not held. The error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RWMutex) Lock(ctx context.Context) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Lock(ctx))
}

// TryLock locks the RWMutex for writing if it is free, and reports whether it did.
func (m *RWMutex) TryLock() (bool, error) {
	if m.in == nil {
		return false, errNotMade
	}
	return m.in.x.TryLock()
}

// Unlock undoes Lock. If this process does not hold the lock for writing, Unlock returns
// [ErrNotHeld] and changes nothing.
func (m *RWMutex) Unlock() error {
	if m.in == nil {
		return errNotMade
	}
	return m.in.x.Unlock()
}

// Recover is like [Mutex.Recover]. It is for use after the death of a writer.
func (m *RWMutex) Recover(ctx context.Context, repair func() error) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Recover(ctx, repair))
}

// Locker returns a [sync.Locker] that calls Lock and Unlock. Like those of [Mutex.Locker], its
// methods panic if they fail.
func (m *RWMutex) Locker() sync.Locker { return locker{m.Lock, m.Unlock} }

// RLocker returns a [sync.Locker] that calls RLock and RUnlock. Like those of [Mutex.Locker], its
// methods panic if they fail.
func (m *RWMutex) RLocker() sync.Locker { return locker{m.RLock, m.RUnlock} }
