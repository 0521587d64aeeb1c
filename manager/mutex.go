package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Mutex is a proxy of a lock in a manager, for other machines, or to be put into other objects; between
// processes of one tree [ipc.Mutex] is hundreds of times faster. It is held by a process, any goroutine
// of which may unlock it. Who waits gets it in the order of coming. When a process dies that holds it,
// or its connection is lost, the next one to lock it gets [ipc.ErrOwnerDied], until somebody has
// looked after what it guards with [Mutex.Recover].
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

// Lock takes the lock, and waits for it until ctx ends. With an error it is not held: that of ctx,
// [ipc.ErrOwnerDied], [ErrLost] or [mp.ErrClosed].
func (m *Mutex) Lock(ctx context.Context) error {
	return m.p.lock(ctx, store.OpLock, store.OpLockUnlock)
}

// TryLock takes the lock if it is free, and reports whether it did. With an error it is not held.
func (m *Mutex) TryLock(ctx context.Context) (bool, error) {
	return m.p.tryLock(ctx, store.OpLockTry, store.OpLockUnlock)
}

// Unlock gives the lock up. If this process does not hold it, that is [ipc.ErrNotHeld].
func (m *Mutex) Unlock(ctx context.Context) error { return m.p.ask(ctx, store.OpLockUnlock, nil) }

// Recover calls repair after the death of a holder. If that returns nil, the Mutex can be used again;
// otherwise everybody goes on getting [ipc.ErrOwnerDied]. Of several that call Recover one does
// it, and the others wait for that. If no holder has died it returns nil at once.
func (m *Mutex) Recover(ctx context.Context, repair func() error) error {
	return m.p.recoverLock(ctx, repair)
}

// Close is [Dict.Close]: it ends the proxy, not the lock.
func (m *Mutex) Close() error { return m.p.close() }

// MarshalBinary encodes the proxy.
func (m *Mutex) MarshalBinary() ([]byte, error) { return m.p.marshal() }

// UnmarshalBinary makes m a proxy of what was encoded.
func (m *Mutex) UnmarshalBinary(data []byte) (err error) {
	m.p, err = unmarshal(data, store.KindLock, mutexShape)
	return err
}
