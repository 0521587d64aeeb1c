package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// An Event is a proxy of a flag in a manager for which processes wait, as [ipc.Event] is.
type Event struct{ p *proxy }

var eventShape = store.Shape(store.KindEvent)

// NewEvent makes an Event in a manager, which is not set.
func NewEvent(ctx context.Context, m *Manager, opts ...Option) (*Event, error) {
	p, err := m.make(ctx, store.KindEvent, eventShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &Event{p}, nil
}

// Set sets it: all who wait go on.
func (e *Event) Set(ctx context.Context) error { return e.p.ask(ctx, store.OpEventSet, nil) }

// Clear undoes Set.
func (e *Event) Clear(ctx context.Context) error { return e.p.ask(ctx, store.OpEventClear, nil) }

// IsSet reports whether it is set.
func (e *Event) IsSet(ctx context.Context) (bool, error) { return e.p.askBool(ctx, store.OpEventIsSet) }

// Wait waits until it is set, or ctx ends.
func (e *Event) Wait(ctx context.Context) error { return e.p.ask(ctx, store.OpEventWait, nil) }

// Close is [Dict.Close]: it ends the proxy, not the event.
func (e *Event) Close() error { return e.p.close() }

// MarshalBinary encodes the proxy.
func (e *Event) MarshalBinary() ([]byte, error) { return e.p.marshal() }

// UnmarshalBinary makes e a proxy of what was encoded.
func (e *Event) UnmarshalBinary(data []byte) (err error) {
	e.p, err = unmarshal(data, store.KindEvent, eventShape)
	return err
}
