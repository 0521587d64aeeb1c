package xsync

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// An Event is set or not. Its word is the number of times that it was set, and in the
// last bit whether it is.
type Event struct {
	object
	queue park.Site
}

// NewEvent makes an Event that is not set.
func NewEvent(m Memory) *Event {
	birth(m, 0)
	return OpenEvent(m)
}

// OpenEvent returns the Event that is there already.
func OpenEvent(m Memory) *Event {
	e := &Event{}
	e.init(m)
	e.site(&e.queue, m, 0, true)
	return e
}

// Close makes it closed: for everybody if this process owns it.
func (e *Event) Close(owned bool) { e.close(owned, &e.queue) }

// Set sets it, and lets all go on that wait, also those who come to look only after
// a Clear.
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

// Clear unsets it.
func (e *Event) Clear() error {
	return e.update(func(w uint64) (uint64, error) { return w &^ 1, nil })
}

// IsSet reports whether it is set.
func (e *Event) IsSet() (bool, error) {
	w := e.word.Load()
	if !e.alive(w) {
		return false, errs.ErrClosed
	}
	e.edge.acquire()
	return w&1 != 0, nil
}

// Wait waits until it is set.
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
		return w != first, nil // set, or set and cleared since
	})
	if err == nil {
		e.edge.acquire()
	}
	return err
}
