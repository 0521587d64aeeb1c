package ipc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Selectable is implemented by the arguments of [Select]. A [Conn] or a [Queue] is ready when a
// message or an element can be taken at once, and an [Event] is ready when it is set. A closed
// Selectable is ready too: the next call of its methods returns the error. [Done] makes a
// Selectable from a process, a future or a context.
type Selectable interface {
	// ready reports whether the Selectable is ready now.
	ready() bool
	// enlist makes the Selectable wake s whenever the Selectable may be ready, until stop is
	// called.
	enlist(s *selection) (stop func())
}

// Select waits until at least one of its arguments is ready or ctx ends, and returns the indices of
// all that are ready, in order. Select takes nothing: another goroutine or process can take the
// element or message first, so take it with [Queue.TryGet] or [Conn.TryRecv], which do not wait. If
// an argument is given twice, Select returns both indices. Without arguments, Select returns an
// error.
//
// Select costs some hundred nanoseconds for each argument, and a goroutine for each [Done].
func Select(ctx context.Context, of ...Selectable) (ready []int, err error) {
	if len(of) == 0 {
		return nil, errors.New("mp: Select of nothing would wait for ever")
	}
	for i, o := range of {
		if isNil(o) {
			return nil, fmt.Errorf("mp: Select: argument %d is nil", i)
		}
	}

	find := func() bool {
		for i, o := range of {
			if o.ready() {
				ready = append(ready, i)
			}
		}
		return len(ready) > 0
	}

	if find() {
		return ready, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, ended(ctx, err)
	}

	s := newSelection()
	defer s.end()
	for _, o := range of {
		s.stops = append(s.stops, o.enlist(s))
	}
	return ready, ended(ctx, s.until(ctx, func() bool {
		defer s.tellLooked()
		return find()
	}))
}

// selection is a Select that waits.
type selection struct {
	watch *xsync.Watch  // nil if this process shares nothing
	bell  chan struct{} // used instead of watch
	stops []func()
	looks []chan struct{}
}

// lookedAgain returns a channel that receives a value after each look at the arguments.
func (s *selection) lookedAgain() <-chan struct{} {
	c := make(chan struct{}, 1)
	s.looks = append(s.looks, c)
	return c
}

func (s *selection) tellLooked() {
	for _, c := range s.looks {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func newSelection() *selection {
	s := &selection{bell: make(chan struct{}, 1)}
	if table := objects.WaitTable(); table != nil {
		s.watch = xsync.NewWatch(table)
	}
	return s
}

// wake makes s look at the arguments again. It does not block.
func (s *selection) wake() {
	if s.watch != nil {
		s.watch.Call()
		return
	}
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

func (s *selection) until(ctx context.Context, found func() bool) error {
	if s.watch != nil {
		return s.watch.Until(ctx, found)
	}
	for !found() {
		select {
		case <-s.bell:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *selection) end() {
	for _, stop := range slices.Backward(s.stops) {
		stop()
	}
	if s.watch != nil {
		s.watch.End()
	}
}

func nothing() {}

// Done makes a [Selectable] from a value with a Done method, such as an [mp.Process], an
// [mp.Future] or a context. The Selectable is ready when the channel that the method returns is
// closed. If the value is nil, Select returns an error.
//
// A Selectable from Done costs a goroutine while Select waits.
func Done(of interface{ Done() <-chan struct{} }) Selectable {
	if isNil(of) {
		return nil
	}
	return done{of.Done()}
}

type done struct{ c <-chan struct{} }

func (d done) ready() bool {
	select {
	case <-d.c:
		return true
	default:
		return false
	}
}

func (d done) enlist(s *selection) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-d.c:
			s.wake()
		case <-over:
		}
	}()
	return func() { close(over) }
}

func (e *Event) ready() bool {
	set, err := e.IsSet()
	return set || err != nil
}

func (e *Event) enlist(s *selection) (stop func()) {
	if e.in != nil && s.watch != nil { // otherwise it was closed meanwhile
		s.watch.Event(e.in.x)
	}
	return nothing
}

func (q *Queue[T]) ready() bool { return q.in == nil || q.in.ring.ReadyNow() }

func (q *Queue[T]) enlist(s *selection) (stop func()) {
	if q.in != nil && s.watch != nil {
		s.watch.Ring(q.in.ring)
	}
	return nothing
}

func (c *Conn[T]) ready() bool {
	if c.in == nil || c.in.enter() != nil {
		return true // with an error
	}
	defer c.in.leave()
	return c.in.mayReceive() != nil || c.in.turns.holds() || c.in.readyNow()
}

func (c *Conn[T]) enlist(s *selection) (stop func()) {
	if c.in == nil {
		return nothing
	}
	leave, forget := c.in.enlist(s), c.in.turns.whenHeld(s.wake)
	return func() {
		forget()
		leave()
	}
}

// isNil reports whether an interface is nil or holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
