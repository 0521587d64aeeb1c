package ipc

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A RecursiveMutex is a [Mutex] that its holder can take again, for functions that lock and call
// each other. Goroutines have no identity by which a RecursiveMutex could recognize its holder. So
// Lock returns a [Held], and any caller that has the Held holds the lock. A RecursiveMutex can be
// sent like a Mutex and is safe for concurrent use.
type RecursiveMutex struct {
	object[RecursiveMutex, recursiveMutex, *recursiveMutex]
}

type recursiveMutex struct {
	handle
	x *xsync.Mutex
}

func (*recursiveMutex) kind() xsync.Kind { return xsync.KindRecursive }

func (m *recursiveMutex) open(o *objects.Object, _ []byte) error {
	m.x = xsync.OpenMutex(o.Memory())
	return nil
}

func (m *recursiveMutex) end(owned bool) { m.x.Close(owned) }

// NewRecursiveMutex makes a RecursiveMutex, which lives until [RecursiveMutex.Close]. Its cost and
// its errors are those of [NewMutex].
func NewRecursiveMutex(opts ...Option) (*RecursiveMutex, error) {
	o, err := newObject(xsync.KindRecursive, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[RecursiveMutex](o, &recursiveMutex{x: xsync.NewMutex(o.Memory())}), nil
}

// Lock takes the lock. It waits for the lock until ctx ends. On error, the lock is not held. The
// error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RecursiveMutex) Lock(ctx context.Context) (*Held, error) {
	if m.in == nil {
		return nil, errNotMade
	}
	if err := m.in.x.Lock(ctx); err != nil {
		return nil, ended(ctx, err)
	}
	return &Held{m: m, n: 1}, nil
}

// TryLock takes the lock if it is free. If another caller holds it, TryLock returns a nil Held and
// no error. An error is [ErrOwnerDied] or [ErrClosed].
func (m *RecursiveMutex) TryLock() (*Held, error) {
	if m.in == nil {
		return nil, errNotMade
	}
	if ok, err := m.in.x.TryLock(); !ok {
		return nil, err
	}
	return &Held{m: m, n: 1}, nil
}

// Recover does for a RecursiveMutex what [Mutex.Recover] does for a Mutex.
func (m *RecursiveMutex) Recover(ctx context.Context, repair func() error) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Recover(ctx, repair))
}

// Held is a locked [RecursiveMutex]. It counts its locks: the one that [RecursiveMutex.Lock] took,
// and one for each call of [Held.Lock] that no Unlock has undone. A Held cannot be sent. It is safe
// for concurrent use by the goroutines that hold the lock together.
type Held struct {
	m  *RecursiveMutex
	mu sync.Mutex
	n  int
}

// Lock takes the lock once more. It never waits. If the lock is no longer held, Lock returns
// [ErrNotHeld].
func (h *Held) Lock() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		return ErrNotHeld
	}
	if err := h.m.in.x.CheckHeld(); err != nil {
		return err
	}
	h.n++
	return nil
}

// Unlock undoes one Lock. The last Unlock releases the RecursiveMutex. If the lock is no longer
// held, Unlock returns [ErrNotHeld] and changes nothing.
func (h *Held) Unlock() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		return ErrNotHeld
	}
	if h.n--; h.n > 0 {
		return nil
	}
	return h.m.in.x.Unlock()
}
