package xsync

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// An Event is either set or not. The lowest bit of its word says which; the bits above it count how
// often the Event was set.
type Event struct {
	object
	queue park.WaitQueue
}

// NewEvent creates an Event that is not set.
func NewEvent(m Memory) *Event {
	birth(m, 0)
	return OpenEvent(m)
}

// OpenEvent opens the Event that already exists in m.
func OpenEvent(m Memory) *Event {
	e := &Event{}
	e.init(m)
	e.waitQueue(&e.queue, m, 0, true)
	return e
}

// Close closes the Event, for all processes if this one owns it.
func (e *Event) Close(owned bool) { e.close(owned, &e.queue) }

// Set sets the Event and releases all waiters, including those that look at the Event only after a
// Clear.
func (e *Event) Set() error {
	e.edge.release()
	err := e.update(func(w uint64) (uint64, error) {
		if w&1 != 0 {
			return w, nil
		}
		return w&genOf | (w+2)&^genOf | 1, nil
	})
	if e.queue.Waited() {
		e.queue.WakeAll()
	}
	return err
}

// Clear unsets the Event.
func (e *Event) Clear() error {
	return e.update(func(w uint64) (uint64, error) { return w &^ 1, nil })
}

// IsSet reports whether the Event is set.
func (e *Event) IsSet() (bool, error) {
	w := e.word.Load()
	if !e.alive(w) {
		return false, errs.ErrClosed
	}
	e.edge.acquire()
	return w&1 != 0, nil
}

// Wait waits until the Event is set.
func (e *Event) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	first := e.word.Load()
	if first&1 != 0 && e.alive(first) {
		e.edge.acquire()
		return nil
	}

	_, err := wait(ctx, &e.queue, func(bool) (bool, error) {
		w := e.word.Load()
		if !e.alive(w) {
			return false, errs.ErrClosed
		}
		return w != first, nil // set, or set and cleared again
	})

	if err == nil {
		e.edge.acquire()
	}
	return err
}
