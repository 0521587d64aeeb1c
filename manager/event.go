package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// An Event is a proxy for a flag in a manager. As with [ipc.Event], processes can wait for the flag
// to be set.
type Event struct{ p *proxy }

var eventShape = store.Shape(store.KindEvent)

// NewEvent makes an Event in a manager. The Event is not set.
func NewEvent(ctx context.Context, m *Manager, opts ...Option) (*Event, error) {
	p, err := m.make(ctx, store.KindEvent, eventShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &Event{p}, nil
}

// Set sets the event and wakes all waiters.
func (e *Event) Set(ctx context.Context) error { return e.p.ask(ctx, store.OpEventSet, nil) }

// Clear resets the event, so that Wait waits again.
func (e *Event) Clear(ctx context.Context) error { return e.p.ask(ctx, store.OpEventClear, nil) }

// IsSet reports whether the event is set.
func (e *Event) IsSet(ctx context.Context) (bool, error) { return e.p.askBool(ctx, store.OpEventIsSet) }

// Wait waits until the event is set or ctx ends.
func (e *Event) Wait(ctx context.Context) error { return e.p.ask(ctx, store.OpEventWait, nil) }

// Close ends the proxy, not the event; see [Dict.Close].
func (e *Event) Close() error { return e.p.close() }

// MarshalBinary encodes the proxy.
func (e *Event) MarshalBinary() ([]byte, error) { return e.p.marshal() }

// UnmarshalBinary sets e to the proxy encoded in data.
func (e *Event) UnmarshalBinary(data []byte) (err error) {
	e.p, err = unmarshal(data, store.KindEvent, eventShape)
	return err
}
