package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A RecursiveMutex is a [Mutex] that its holder can lock again, like an [ipc.RecursiveMutex]. Lock
// returns a [Held]; any code that has the Held can lock again.
type RecursiveMutex struct{ p *proxy }

var recursiveShape = store.Shape(store.KindLock, 3)

// NewRecursiveMutex makes a RecursiveMutex in a manager.
func NewRecursiveMutex(ctx context.Context, m *Manager, opts ...Option) (*RecursiveMutex, error) {
	p, err := m.make(ctx, store.KindLock, recursiveShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &RecursiveMutex{p}, nil
}

// Lock takes the lock, and waits for it until ctx ends. It returns the same errors as [Mutex.Lock].
func (m *RecursiveMutex) Lock(ctx context.Context) (*Held, error) {
	if err := m.p.lock(ctx, store.OpLock, store.OpLockUnlock); err != nil {
		return nil, err
	}
	return &Held{p: m.p, n: 1}, nil
}

// TryLock takes the lock if it is free. If not, it returns nil.
func (m *RecursiveMutex) TryLock(ctx context.Context) (*Held, error) {
	if ok, err := m.p.tryLock(ctx, store.OpLockTry, store.OpLockUnlock); !ok {
		return nil, err
	}
	return &Held{p: m.p, n: 1}, nil
}

// Recover is like [Mutex.Recover].
func (m *RecursiveMutex) Recover(ctx context.Context, repair func() error) error {
	return m.p.recoverLock(ctx, repair)
}

// Close ends the proxy, not the lock; see [Dict.Close].
func (m *RecursiveMutex) Close() error { return m.p.close() }

// MarshalBinary encodes the proxy.
func (m *RecursiveMutex) MarshalBinary() ([]byte, error) { return m.p.marshal() }

// UnmarshalBinary sets m to the proxy encoded in data.
func (m *RecursiveMutex) UnmarshalBinary(data []byte) (err error) {
	m.p, err = unmarshal(data, store.KindLock, recursiveShape)
	return err
}
