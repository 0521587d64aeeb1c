package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A WaitGroup is a number of things under way in several processes, of which the end of
// all can be waited for. It can be sent like a [Mutex] and is safe for concurrent use.
//
// It does not know what is under way where: what a process that dies has not reported as
// done remains. What must not get lost is better the task of a [mp.Pool].
type WaitGroup struct{ g *waitGroup }

type waitGroup struct {
	handle
	x *xsync.WaitGroup
}

// NewWaitGroup makes a WaitGroup of 0; see [NewMutex].
func NewWaitGroup(cfg ObjectConfig) (*WaitGroup, error) {
	o, err := share.New(xsync.KindWaitGroup, xsync.Small, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	g := &waitGroup{x: xsync.NewWaitGroup(o.Memory())}
	return made(o, &WaitGroup{g}, &g.handle), nil
}

// Add adds n, which may be negative, to the number. That it would become negative itself is
// an error, and nothing is changed. Of a closed one it is [ErrClosed].
func (g *WaitGroup) Add(n int) error {
	if g.g == nil {
		return errNotMade
	}
	return g.g.x.Add(n)
}

// Done is Add(-1).
func (g *WaitGroup) Done() error { return g.Add(-1) }

// Count is the number, which may be another one already. The error can only be [ErrClosed].
func (g *WaitGroup) Count() (int, error) {
	if g.g == nil {
		return 0, errNotMade
	}
	return g.g.x.Count()
}

// Wait waits until the number is 0. The error is ctx's or [ErrClosed].
func (g *WaitGroup) Wait(ctx context.Context) error {
	if g.g == nil {
		return errNotMade
	}
	return ended(ctx, g.g.x.Wait(ctx))
}

// Close closes the WaitGroup: for all processes if this process owns it, else for this process
// alone. The owner is the process that made the WaitGroup, or received it as the result of a
// task. Calls that wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (g *WaitGroup) Close() error {
	if g.g == nil {
		return errNotMade
	}
	g.g.close(g.g.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (g *WaitGroup) MarshalBinary() ([]byte, error) { return marshal(g.shared()) }

// UnmarshalBinary makes g a handle of the encoded WaitGroup.
func (g *WaitGroup) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindWaitGroup, g, func(o *share.Object, _ []byte) (*WaitGroup, error) {
		x := &waitGroup{x: xsync.OpenWaitGroup(o.Memory())}
		face := &WaitGroup{x}
		x.handle = handle{o, face}
		return face, nil
	})
}

func (g *WaitGroup) shared() *handle {
	if g.g == nil {
		return nil
	}
	return &g.g.handle
}

func (g *WaitGroup) weakly() func() any { return weakly(g) }
