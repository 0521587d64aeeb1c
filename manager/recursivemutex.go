package manager

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/store"
)

// A RecursiveMutex is a [Mutex] that its holder can take again, as [mp.RecursiveMutex] is: Lock hands out a
// [Held], and whoever has that is the holder.
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

// Lock takes the lock, and waits for it until ctx ends. The errors are those of [Mutex.Lock].
func (m *RecursiveMutex) Lock(ctx context.Context) (*Held, error) {
	if err := m.p.lock(ctx, store.OpLock, store.OpLockUnlock); err != nil {
		return nil, err
	}
	return &Held{p: m.p, n: 1}, nil
}

// TryLock takes the lock if it is free. It returns nil if it is not.
func (m *RecursiveMutex) TryLock(ctx context.Context) (*Held, error) {
	if ok, err := m.p.tryLock(ctx, store.OpLockTry, store.OpLockUnlock); !ok {
		return nil, err
	}
	return &Held{p: m.p, n: 1}, nil
}

// Recover is [Mutex.Recover].
func (m *RecursiveMutex) Recover(ctx context.Context, repair func() error) error {
	return m.p.recoverLock(ctx, repair)
}

// Close is [Dict.Close]: it ends the proxy, not the lock.
func (m *RecursiveMutex) Close() error { return m.p.close() }

// MarshalBinary encodes the proxy.
func (m *RecursiveMutex) MarshalBinary() ([]byte, error) { return m.p.marshal() }

// UnmarshalBinary makes m a proxy of what was encoded.
func (m *RecursiveMutex) UnmarshalBinary(data []byte) (err error) {
	m.p, err = unmarshal(data, store.KindLock, recursiveShape)
	return err
}

// Held is a [RecursiveMutex] that is held. It is safe for concurrent use.
type Held struct {
	p  *proxy
	mu sync.Mutex
	n  int
}

// Lock takes the lock once more, which takes no message. If it has been given up it returns
// [mp.ErrNotHeld].
func (h *Held) Lock() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		return mp.ErrNotHeld
	}
	h.n++
	return nil
}

// Unlock undoes one Lock; the last one gives the lock up. One more is [mp.ErrNotHeld].
func (h *Held) Unlock(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.n {
	case 0:
		return mp.ErrNotHeld
	case 1:
		if err := h.p.ask(ctx, store.OpLockUnlock, nil); err != nil {
			return err
		}
	}
	h.n--
	return nil
}
