package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// An RWMutex is a [Mutex] that one writer or several readers can hold at a time. The death of a
// reader leaves nothing to repair.
type RWMutex struct{ p *proxy }

var rwMutexShape = store.Shape(store.KindLock, 2)

// NewRWMutex makes an RWMutex in a manager.
func NewRWMutex(ctx context.Context, m *Manager, opts ...Option) (*RWMutex, error) {
	p, err := m.make(ctx, store.KindLock, rwMutexShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &RWMutex{p}, nil
}

// Lock is like [Mutex.Lock].
func (m *RWMutex) Lock(ctx context.Context) error {
	return m.p.lock(ctx, store.OpLock, store.OpLockUnlock)
}

// TryLock is like [Mutex.TryLock].
func (m *RWMutex) TryLock(ctx context.Context) (bool, error) {
	return m.p.tryLock(ctx, store.OpLockTry, store.OpLockUnlock)
}

// Unlock is like [Mutex.Unlock].
func (m *RWMutex) Unlock(ctx context.Context) error { return m.p.ask(ctx, store.OpLockUnlock, nil) }

// RLock is like [Mutex.Lock], but for reading.
func (m *RWMutex) RLock(ctx context.Context) error {
	return m.p.lock(ctx, store.OpLockRead, store.OpLockReadUnlock)
}

// TryRLock is like [Mutex.TryLock], but for reading.
func (m *RWMutex) TryRLock(ctx context.Context) (bool, error) {
	return m.p.tryLock(ctx, store.OpLockTryRead, store.OpLockReadUnlock)
}

// RUnlock undoes one RLock.
func (m *RWMutex) RUnlock(ctx context.Context) error {
	return m.p.ask(ctx, store.OpLockReadUnlock, nil)
}

// Recover is like [Mutex.Recover].
func (m *RWMutex) Recover(ctx context.Context, repair func() error) error {
	return m.p.recoverLock(ctx, repair)
}

// Close ends the proxy, not the lock; see [Dict.Close].
func (m *RWMutex) Close() error { return m.p.close() }

// MarshalBinary encodes the proxy.
func (m *RWMutex) MarshalBinary() ([]byte, error) { return m.p.marshal() }

// UnmarshalBinary sets m to the proxy encoded in data.
func (m *RWMutex) UnmarshalBinary(data []byte) (err error) {
	m.p, err = unmarshal(data, store.KindLock, rwMutexShape)
	return err
}
