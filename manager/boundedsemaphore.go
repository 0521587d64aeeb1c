package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A BoundedSemaphore is a [Semaphore] that knows which processes hold its permits: it takes back
// the permits of a dead process, and no process can release more permits than it holds.
type BoundedSemaphore struct{ p *proxy }

var boundedShape = store.Shape(store.KindSemaphore, 2)

// NewBoundedSemaphore makes a BoundedSemaphore with the given number of permits in a manager.
func NewBoundedSemaphore(ctx context.Context, m *Manager, permits int, opts ...Option) (*BoundedSemaphore, error) {
	p, err := m.makePermits(ctx, permits, true, boundedShape, opts)
	if err != nil {
		return nil, err
	}
	return &BoundedSemaphore{p}, nil
}

// Acquire is like [Semaphore.Acquire].
func (s *BoundedSemaphore) Acquire(ctx context.Context) error {
	return s.p.lock(ctx, store.OpSemAcquire, store.OpSemRelease)
}

// TryAcquire is like [Semaphore.TryAcquire].
func (s *BoundedSemaphore) TryAcquire(ctx context.Context) (bool, error) {
	return s.p.tryLock(ctx, store.OpSemTry, store.OpSemRelease)
}

// Release returns a permit. It returns [ipc.ErrOverRelease] if this process holds none.
func (s *BoundedSemaphore) Release(ctx context.Context) error {
	return s.p.ask(ctx, store.OpSemRelease, nil)
}

// Available returns the number of free permits.
func (s *BoundedSemaphore) Available(ctx context.Context) (int, error) {
	return s.p.askInt(ctx, store.OpSemAvailable)
}

// Close ends the proxy, not the semaphore; see [Dict.Close].
func (s *BoundedSemaphore) Close() error { return s.p.close() }

// MarshalBinary encodes the proxy.
func (s *BoundedSemaphore) MarshalBinary() ([]byte, error) { return s.p.marshal() }

// UnmarshalBinary sets s to the proxy encoded in data.
func (s *BoundedSemaphore) UnmarshalBinary(data []byte) (err error) {
	s.p, err = unmarshal(data, store.KindSemaphore, boundedShape)
	return err
}
