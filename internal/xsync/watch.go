package xsync

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/park"
)

// A Watch lets one goroutine wait for several objects at once.
type Watch struct {
	multi *park.Multi
	after []func()
}

// NewWatch creates a Watch for objects of the process that l belongs to.
func NewWatch(l *park.WaitTable) *Watch { return &Watch{multi: park.NewMulti(l)} }

// Event makes Until call found again when e is set or closed.
func (w *Watch) Event(e *Event) { w.multi.Enter(&e.queue) }

// Ring makes Until call found again when r has a record or has ended.
func (w *Watch) Ring(r *Ring) {
	w.multi.Enter(&r.notEmpty)
	// found may not have taken the record.
	w.after = append(w.after, func() { r.passOn(&r.notEmpty, r.some) })
}

// Call makes Until call found again. It is safe for concurrent use.
func (w *Watch) Call() { w.multi.Call() }

// Until calls found until it returns true: first at once, and then whenever one of the objects may
// have changed. found must not block. If ctx ends first, Until returns ctx's error.
func (w *Watch) Until(ctx context.Context, found func() bool) error {
	for {
		w.multi.Prepare()
		if found() {
			return nil
		}
		if err := ctx.Err(); err != nil { // Sleep ignores ctx while it keeps being called
			return err
		}
		if err := w.multi.Sleep(ctx); err != nil {
			return err
		}
	}
}

// End releases the Watch, which must not be used afterwards.
func (w *Watch) End() {
	w.multi.Leave()
	for _, f := range w.after {
		f()
	}
}
