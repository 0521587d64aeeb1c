package xsync

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/park"
)

// A Watch is a goroutine's wait for several objects at once.
type Watch struct {
	multi *park.Multi
	after []func()
}

// NewWatch makes a Watch of objects of the process that has the lot.
func NewWatch(l *park.Lot) *Watch { return &Watch{multi: park.NewMulti(l)} }

// Event has it wait for an Event to be set or closed.
func (w *Watch) Event(e *Event) { w.multi.Enter(&e.queue) }

// Ring has it wait for a Ring with something to get.
func (w *Watch) Ring(r *Ring) {
	w.multi.Enter(&r.notEmpty)
	w.after = append(w.after, func() { r.passOn(&r.notEmpty, r.some) }) // nothing has been taken
}

// Call makes it look again. Any goroutine may call it.
func (w *Watch) Call() { w.multi.Call() }

// Until calls found, which must not block, until it returns true: at first and whenever it
// may have changed. It returns the context's error when that ends first.
func (w *Watch) Until(ctx context.Context, found func() bool) error {
	for {
		w.multi.Look()
		if found() {
			return nil
		}
		if err := ctx.Err(); err != nil { // Sleep does not look at ctx while it keeps being called
			return err
		}
		if err := w.multi.Sleep(ctx); err != nil {
			return err
		}
	}
}

// End ends it.
func (w *Watch) End() {
	w.multi.Leave()
	for _, f := range w.after {
		f()
	}
}
