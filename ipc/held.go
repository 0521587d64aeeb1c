package ipc

import "sync"

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
