package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Mutex is a proxy for a lock in a manager. It is meant for use from other machines, and for use
// in other objects; between processes of the same tree an [ipc.Mutex] is hundreds of times faster.
// The lock is held by a process, and any goroutine of that process may unlock it. Waiters get the
// lock in order of arrival. If the process that holds the lock dies or loses its connection,
// processes that lock it get [ipc.ErrOwnerDied] until one of them has used [Mutex.Recover] to
// repair the guarded data.
type Mutex struct{ p *proxy }

var mutexShape = store.Shape(store.KindLock, 1)

// NewMutex makes a Mutex in a manager.
func NewMutex(ctx context.Context, m *Manager, opts ...Option) (*Mutex, error) {
	p, err := m.make(ctx, store.KindLock, mutexShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &Mutex{p}, nil
}

// Lock takes the lock, and waits for it until ctx ends. On error the lock is not held. The error is
// ctx's, [ipc.ErrOwnerDied], [ErrLost] or [mp.ErrClosed].
func (m *Mutex) Lock(ctx context.Context) error {
	return m.p.lock(ctx, store.OpLock, store.OpLockUnlock)
}

// TryLock takes the lock if it is free, and reports whether it did. On error the lock is not held.
func (m *Mutex) TryLock(ctx context.Context) (bool, error) {
	return m.p.tryLock(ctx, store.OpLockTry, store.OpLockUnlock)
}

// Unlock releases the lock. It returns [ipc.ErrNotHeld] if this process does not hold the lock.
func (m *Mutex) Unlock(ctx context.Context) error { return m.p.ask(ctx, store.OpLockUnlock, nil) }

// Recover calls repair after the death of a holder. If repair returns nil, the Mutex can be used
// again; otherwise Lock continues to return [ipc.ErrOwnerDied]. If several processes call Recover,
// one calls its repair function and the others wait for it. If no holder has died, Recover returns
// nil at once.
func (m *Mutex) Recover(ctx context.Context, repair func() error) error {
	return m.p.recoverLock(ctx, repair)
}

// Close ends the proxy, not the lock; see [Dict.Close].
func (m *Mutex) Close() error { return m.p.close() }

// MarshalBinary encodes the proxy.
func (m *Mutex) MarshalBinary() ([]byte, error) { return m.p.marshal() }

// UnmarshalBinary sets m to the proxy encoded in data.
func (m *Mutex) UnmarshalBinary(data []byte) (err error) {
	m.p, err = unmarshal(data, store.KindLock, mutexShape)
	return err
}
