package ipc

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A RecursiveMutex is a [Mutex] that its holder can take again, for functions which lock
// and call each other. Goroutines have no names by which it could know its holder, so Lock
// hands out a [Held], and whoever has that is the holder. It can be sent like a Mutex and is
// safe for concurrent use.
type RecursiveMutex struct {
	object[RecursiveMutex, recursiveMutex, *recursiveMutex]
}

type recursiveMutex struct {
	handle
	x *xsync.Mutex
}

func (*recursiveMutex) kind() xsync.Kind { return xsync.KindRecursive }

func (m *recursiveMutex) open(o *share.Object, _ []byte) error {
	m.x = xsync.OpenMutex(o.Memory())
	return nil
}

func (m *recursiveMutex) end(owned bool) { m.x.Close(owned) }

// NewRecursiveMutex makes a RecursiveMutex, which lives until [RecursiveMutex.Close]; see
// [NewMutex].
func NewRecursiveMutex(opts ...Option) (*RecursiveMutex, error) {
	o, err := newObject(xsync.KindRecursive, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[RecursiveMutex](o, &recursiveMutex{x: xsync.NewMutex(o.Memory())}), nil
}

// Lock takes the lock, and waits for it until ctx ends. On error the lock is not held. The error
// is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *RecursiveMutex) Lock(ctx context.Context) (*Held, error) {
	if m.in == nil {
		return nil, errNotMade
	}
	if err := m.in.x.Lock(ctx); err != nil {
		return nil, ended(ctx, err)
	}
	return &Held{m: m, n: 1}, nil
}

// TryLock takes the lock if it is free. It returns nil if it is not.
func (m *RecursiveMutex) TryLock() (*Held, error) {
	if m.in == nil {
		return nil, errNotMade
	}
	if ok, err := m.in.x.TryLock(); !ok {
		return nil, err
	}
	return &Held{m: m, n: 1}, nil
}

// Recover is [Mutex.Recover].
func (m *RecursiveMutex) Recover(ctx context.Context, repair func() error) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Recover(ctx, repair))
}

// Held is a [RecursiveMutex] that is held: as often as Lock was called, that of the Mutex
// included, and Unlock was not. It cannot be sent, and is safe for concurrent use by those who
// hold the lock together.
type Held struct {
	m  *RecursiveMutex
	mu sync.Mutex
	n  int
}

// Lock takes the lock once more. It never waits. If it is not held any more, that is
// [ErrNotHeld].
func (h *Held) Lock() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		return ErrNotHeld
	}
	if err := h.m.in.x.Held(); err != nil {
		return err
	}
	h.n++
	return nil
}

// Unlock takes one Lock back; with the last the lock becomes free. If it is not held any
// more, that is [ErrNotHeld] and nothing is changed.
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
