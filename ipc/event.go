package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Event is a flag that goroutines of several processes set and wait for. It can be sent like a
// [Mutex] and is safe for concurrent use.
type Event struct {
	object[Event, event, *event]
}

type event struct {
	handle
	x *xsync.Event
}

func (*event) kind() xsync.Kind { return xsync.KindEvent }

func (e *event) open(o *objects.Object, _ []byte) error {
	e.x = xsync.OpenEvent(o.Memory())
	return nil
}

func (e *event) end(owned bool) { e.x.Close(owned) }

// NewEvent makes an Event that is not set. Its cost and its errors are those of [NewMutex].
func NewEvent(opts ...Option) (*Event, error) {
	o, err := newObject(xsync.KindEvent, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[Event](o, &event{x: xsync.NewEvent(o.Memory())}), nil
}

// Set sets the Event until Clear is called, and wakes all waiting callers, even if Clear follows at
// once. Setting an Event that is set does nothing. The only error of Set, Clear and IsSet is
// [ErrClosed].
func (e *Event) Set() error {
	if e.in == nil {
		return errNotMade
	}
	return e.in.x.Set()
}

// Clear resets the Event.
func (e *Event) Clear() error {
	if e.in == nil {
		return errNotMade
	}
	return e.in.x.Clear()
}

// IsSet reports whether the Event is set.
func (e *Event) IsSet() (bool, error) {
	if e.in == nil {
		return false, errNotMade
	}
	return e.in.x.IsSet()
}

// Wait waits until the Event is set or ctx ends. The error is ctx's or [ErrClosed].
func (e *Event) Wait(ctx context.Context) error {
	if e.in == nil {
		return errNotMade
	}
	return ended(ctx, e.in.x.Wait(ctx))
}
