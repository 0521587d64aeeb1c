package manager

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Semaphore is a proxy for a semaphore in a manager. As with [ipc.Semaphore], any process may
// release a permit that another process has acquired. The permits of a process that dies are lost.
type Semaphore struct{ p *proxy }

var semaphoreShape = store.Shape(store.KindSemaphore, 1)

// NewSemaphore makes a Semaphore with the given number of permits in a manager.
func NewSemaphore(ctx context.Context, m *Manager, permits int, opts ...Option) (*Semaphore, error) {
	p, err := m.makePermits(ctx, permits, false, semaphoreShape, opts)
	if err != nil {
		return nil, err
	}
	return &Semaphore{p}, nil
}

func (m *Manager) makePermits(ctx context.Context, permits int, bounded bool, shape uint64, opts []Option) (*proxy, error) {
	if permits < 0 {
		return nil, fmt.Errorf("manager: %d permits", permits)
	}
	return m.make(ctx, store.KindSemaphore, shape, opts, func(r *request) error {
		r.Int(permits)
		r.Bool(bounded)
		return nil
	})
}

// Acquire takes a permit, and waits for one until ctx ends. On error it has not taken a permit.
func (s *Semaphore) Acquire(ctx context.Context) error {
	return s.p.lock(ctx, store.OpSemAcquire, store.OpSemRelease)
}

// TryAcquire takes a permit if there is one, and reports whether it did.
func (s *Semaphore) TryAcquire(ctx context.Context) (bool, error) {
	return s.p.tryLock(ctx, store.OpSemTry, store.OpSemRelease)
}

// Release returns a permit, no matter which process has taken it.
func (s *Semaphore) Release(ctx context.Context) error { return s.p.ask(ctx, store.OpSemRelease, nil) }

// Available returns the number of free permits.
func (s *Semaphore) Available(ctx context.Context) (int, error) {
	return s.p.askInt(ctx, store.OpSemAvailable)
}

// Close ends the proxy, not the semaphore; see [Dict.Close].
func (s *Semaphore) Close() error { return s.p.close() }

// MarshalBinary encodes the proxy.
func (s *Semaphore) MarshalBinary() ([]byte, error) { return s.p.marshal() }

// UnmarshalBinary sets s to the proxy encoded in data.
func (s *Semaphore) UnmarshalBinary(data []byte) (err error) {
	s.p, err = unmarshal(data, store.KindSemaphore, semaphoreShape)
	return err
}
