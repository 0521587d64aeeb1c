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
type RWMutex struct{ m *rwMutex }

type rwMutex struct {
	handle
	x *xsync.RWMutex
}

// NewRWMutex makes an RWMutex, which lives until [RWMutex.Close]; see [NewMutex]. It
// takes 8 KiB of addresses, and usually some hundred bytes of memory.
func NewRWMutex(cfg ObjectConfig) (*RWMutex, error) {
	o, err := share.New(xsync.KindRWMutex, xsync.Large, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	m := &rwMutex{x: xsync.NewRWMutex(o.Memory())}
	return made(o, &RWMutex{m}, &m.handle), nil
}

// RLock locks the RWMutex to read, and waits for that until ctx ends. On error the lock is not
// held. The error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RWMutex) RLock(ctx context.Context) error {
	if m.m == nil {
		return errNotMade
	}
	return ended(ctx, m.m.x.RLock(ctx))
}

// TryRLock takes the lock to read if it is free for that, and reports whether it did.
func (m *RWMutex) TryRLock() (bool, error) {
	if m.m == nil {
		return false, errNotMade
	}
	return m.m.x.TryRLock()
}

// RUnlock gives up what RLock took. If no goroutine of this process holds the lock to
// read, that is [ErrNotHeld] and nothing is changed.
func (m *RWMutex) RUnlock() error {
	if m.m == nil {
		return errNotMade
	}
	return m.m.x.RUnlock()
}

// Lock locks the RWMutex to write, and waits for that until ctx ends. On error the lock is not
// held. The error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RWMutex) Lock(ctx context.Context) error {
	if m.m == nil {
		return errNotMade
	}
	return ended(ctx, m.m.x.Lock(ctx))
}

// TryLock takes the lock to write if nobody holds it, and reports whether it did.
func (m *RWMutex) TryLock() (bool, error) {
	if m.m == nil {
		return false, errNotMade
	}
	return m.m.x.TryLock()
}

// Unlock gives up what Lock took. If this process does not hold the lock to write, that
// is [ErrNotHeld] and nothing is changed.
func (m *RWMutex) Unlock() error {
	if m.m == nil {
		return errNotMade
	}
	return m.m.x.Unlock()
}

// Recover is [Mutex.Recover], after the death of a writer.
func (m *RWMutex) Recover(ctx context.Context, repair func() error) error {
	if m.m == nil {
		return errNotMade
	}
	return ended(ctx, m.m.x.Recover(ctx, repair))
}

// Locker is [Mutex.Locker] for Lock and Unlock.
func (m *RWMutex) Locker() sync.Locker { return locker{m.Lock, m.Unlock} }

// RLocker is [Mutex.Locker] for RLock and RUnlock.
func (m *RWMutex) RLocker() sync.Locker { return locker{m.RLock, m.RUnlock} }

// Close closes the RWMutex: for all processes if this process owns it, else for this process
// alone. The owner is the process that made the RWMutex, or received it as the result of a task.
// Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (m *RWMutex) Close() error {
	if m.m == nil {
		return errNotMade
	}
	m.m.close(m.m.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (m *RWMutex) MarshalBinary() ([]byte, error) { return marshal(m.shared()) }

// UnmarshalBinary makes m a handle of the encoded RWMutex.
func (m *RWMutex) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindRWMutex, m, func(o *share.Object, _ []byte) (*RWMutex, error) {
		x := &rwMutex{x: xsync.OpenRWMutex(o.Memory())}
		face := &RWMutex{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (m *RWMutex) shared() *handle {
	if m.m == nil {
		return nil
	}
	return &m.m.handle
}

func (m *RWMutex) weakly() func() any { return weakly(m) }
