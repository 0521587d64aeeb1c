package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Event is set or not, and can be waited for by goroutines of several processes. It
// can be sent like a [Mutex] and is safe for concurrent use.
type Event struct{ e *event }

type event struct {
	handle
	x *xsync.Event
}

// NewEvent makes an Event that is not set; see [NewMutex].
func NewEvent(cfg ObjectConfig) (*Event, error) {
	o, err := share.New(xsync.KindEvent, xsync.Small, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	e := &event{x: xsync.NewEvent(o.Memory())}
	return made(o, &Event{e}, &e.handle), nil
}

// Set sets the Event until Clear. Everybody goes on who waits, even if Clear follows at
// once. Setting it again does nothing. The error can only be [ErrClosed]; so it is of Clear
// and IsSet.
func (e *Event) Set() error {
	if e.e == nil {
		return errNotMade
	}
	return e.e.x.Set()
}

// Clear unsets the Event.
func (e *Event) Clear() error {
	if e.e == nil {
		return errNotMade
	}
	return e.e.x.Clear()
}

// IsSet reports whether the Event is set.
func (e *Event) IsSet() (bool, error) {
	if e.e == nil {
		return false, errNotMade
	}
	return e.e.x.IsSet()
}

// Wait waits until the Event is set. The error is ctx's or [ErrClosed].
func (e *Event) Wait(ctx context.Context) error {
	if e.e == nil {
		return errNotMade
	}
	return ended(ctx, e.e.x.Wait(ctx))
}

// Close closes the Event: for all processes if this process owns it, else for this process alone.
// The owner is the process that made the Event, or received it as the result of a task. Calls
// that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (e *Event) Close() error {
	if e.e == nil {
		return errNotMade
	}
	e.e.close(e.e.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (e *Event) MarshalBinary() ([]byte, error) { return marshal(e.shared()) }

// UnmarshalBinary makes e a handle of the encoded Event.
func (e *Event) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindEvent, e, func(o *share.Object, _ []byte) (*Event, error) {
		x := &event{x: xsync.OpenEvent(o.Memory())}
		face := &Event{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (e *Event) shared() *handle {
	if e.e == nil {
		return nil
	}
	return &e.e.handle
}

func (e *Event) weakly() func() any { return weakly(e) }
