package manager

import (
	"context"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A WaitGroup is a proxy for a counter in a manager. As with [ipc.WaitGroup], processes can wait
// until the counter is 0.
type WaitGroup struct{ p *proxy }

var waitGroupShape = store.Shape(store.KindWaitGroup)

// NewWaitGroup makes a WaitGroup in a manager. Its count is 0.
func NewWaitGroup(ctx context.Context, m *Manager, opts ...Option) (*WaitGroup, error) {
	p, err := m.make(ctx, store.KindWaitGroup, waitGroupShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &WaitGroup{p}, nil
}

// Add adds n, which may be negative, to the count. If the count would become negative, Add changes
// nothing and returns [ipc.ErrOverRelease].
func (g *WaitGroup) Add(ctx context.Context, n int) error {
	r, err := g.p.begin(store.OpGroupAdd)
	if err != nil {
		return err
	}
	r.Int(n)
	return r.do(ctx, nil)
}

// Done subtracts one from the count.
func (g *WaitGroup) Done(ctx context.Context) error { return g.Add(ctx, -1) }

// Count returns the count.
func (g *WaitGroup) Count(ctx context.Context) (int, error) {
	return g.p.askInt(ctx, store.OpGroupCount)
}

// Wait waits until the count is 0, or ctx ends.
func (g *WaitGroup) Wait(ctx context.Context) error { return g.p.ask(ctx, store.OpGroupWait, nil) }

// Close ends the proxy, not the group; see [Dict.Close].
func (g *WaitGroup) Close() error { return g.p.close() }

// MarshalBinary encodes the proxy.
func (g *WaitGroup) MarshalBinary() ([]byte, error) { return g.p.marshal() }

// UnmarshalBinary sets g to the proxy encoded in data.
func (g *WaitGroup) UnmarshalBinary(data []byte) (err error) {
	g.p, err = unmarshal(data, store.KindWaitGroup, waitGroupShape)
	return err
}
