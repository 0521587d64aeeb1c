package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A BoundedSemaphore is a [Semaphore] that knows which process has its permits: those of a dead one come
// back, and nobody can release more than he has.
type BoundedSemaphore struct{ p *proxy }

var boundedShape = store.Shape(store.KindSemaphore, 2)

// NewBoundedSemaphore makes a BoundedSemaphore with that many permits in a manager.
func NewBoundedSemaphore(ctx context.Context, m *Manager, permits int, opts ...Option) (*BoundedSemaphore, error) {
	p, err := m.makePermits(ctx, permits, true, boundedShape, opts)
	if err != nil {
		return nil, err
	}
	return &BoundedSemaphore{p}, nil
}

// Acquire is [Semaphore.Acquire].
func (s *BoundedSemaphore) Acquire(ctx context.Context) error {
	return s.p.lock(ctx, store.OpSemAcquire, store.OpSemRelease)
}

// TryAcquire is [Semaphore.TryAcquire].
func (s *BoundedSemaphore) TryAcquire(ctx context.Context) (bool, error) {
	return s.p.tryLock(ctx, store.OpSemTry, store.OpSemRelease)
}

// Release gives a permit back. If this process has none, that is [ipc.ErrOverRelease].
func (s *BoundedSemaphore) Release(ctx context.Context) error {
	return s.p.ask(ctx, store.OpSemRelease, nil)
}

// Available is how many permits there are.
func (s *BoundedSemaphore) Available(ctx context.Context) (int, error) {
	return s.p.askInt(ctx, store.OpSemAvailable)
}

// Close is [Dict.Close]: it ends the proxy, not the semaphore.
func (s *BoundedSemaphore) Close() error { return s.p.close() }

// MarshalBinary encodes the proxy.
func (s *BoundedSemaphore) MarshalBinary() ([]byte, error) { return s.p.marshal() }

// UnmarshalBinary makes s a proxy of what was encoded.
func (s *BoundedSemaphore) UnmarshalBinary(data []byte) (err error) {
	s.p, err = unmarshal(data, store.KindSemaphore, boundedShape)
	return err
}
