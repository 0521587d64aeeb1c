package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A RecursiveMutex is a [Mutex] that its holder can take again, for functions which lock
// and call each other. Goroutines have no names by which it could know its holder, so Lock
// hands out a [Held], and whoever has that is the holder. It can be sent like a Mutex and is
// safe for concurrent use.
type RecursiveMutex struct{ m *recursiveMutex }

type recursiveMutex struct {
	handle
	x *xsync.Mutex
}

// NewRecursiveMutex makes a RecursiveMutex, which lives until [RecursiveMutex.Close]; see
// [NewMutex].
func NewRecursiveMutex(cfg ObjectConfig) (*RecursiveMutex, error) {
	o, err := share.New(xsync.KindRecursive, xsync.Small, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	m := &recursiveMutex{x: xsync.NewMutex(o.Memory())}
	return made(o, &RecursiveMutex{m}, &m.handle), nil
}

// Lock takes the lock, and waits for it until ctx ends. On error the lock is not held. The error
// is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RecursiveMutex) Lock(ctx context.Context) (*Held, error) {
	if m.m == nil {
		return nil, errNotMade
	}
	if err := m.m.x.Lock(ctx); err != nil {
		return nil, ended(ctx, err)
	}
	return &Held{m: m, n: 1}, nil
}

// TryLock takes the lock if it is free. It returns nil if it is not.
func (m *RecursiveMutex) TryLock() (*Held, error) {
	if m.m == nil {
		return nil, errNotMade
	}
	if ok, err := m.m.x.TryLock(); !ok {
		return nil, err
	}
	return &Held{m: m, n: 1}, nil
}

// Recover is [Mutex.Recover].
func (m *RecursiveMutex) Recover(ctx context.Context, repair func() error) error {
	if m.m == nil {
		return errNotMade
	}
	return ended(ctx, m.m.x.Recover(ctx, repair))
}

// Close closes the RecursiveMutex: for all processes if this process owns it, else for this
// process alone. The owner is the process that made the RecursiveMutex, or received it as the
// result of a task. Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (m *RecursiveMutex) Close() error {
	if m.m == nil {
		return errNotMade
	}
	m.m.close(m.m.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (m *RecursiveMutex) MarshalBinary() ([]byte, error) { return marshal(m.shared()) }

// UnmarshalBinary makes m a handle of the encoded RecursiveMutex.
func (m *RecursiveMutex) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindRecursive, m, func(o *share.Object, _ []byte) (*RecursiveMutex, error) {
		x := &recursiveMutex{x: xsync.OpenMutex(o.Memory())}
		face := &RecursiveMutex{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (m *RecursiveMutex) shared() *handle {
	if m.m == nil {
		return nil
	}
	return &m.m.handle
}

func (m *RecursiveMutex) weakly() func() any { return weakly(m) }
