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
type WaitGroup struct {
	object[WaitGroup, waitGroup, *waitGroup]
}

type waitGroup struct {
	handle
	x *xsync.WaitGroup
}

func (*waitGroup) kind() xsync.Kind { return xsync.KindWaitGroup }

func (g *waitGroup) open(o *share.Object, _ []byte) error {
	g.x = xsync.OpenWaitGroup(o.Memory())
	return nil
}

func (g *waitGroup) end(owned bool) { g.x.Close(owned) }

// NewWaitGroup makes a WaitGroup of 0; see [NewMutex].
func NewWaitGroup(opts ...Option) (*WaitGroup, error) {
	o, err := newObject(xsync.KindWaitGroup, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[WaitGroup](o, &waitGroup{x: xsync.NewWaitGroup(o.Memory())}), nil
}

// Add adds n, which may be negative, to the number. That it would become negative itself is
// an error, and nothing is changed. Of a closed one it is [ErrClosed].
func (g *WaitGroup) Add(n int) error {
	if g.in == nil {
		return errNotMade
	}
	return g.in.x.Add(n)
}

// Done is Add(-1).
func (g *WaitGroup) Done() error { return g.Add(-1) }

// Count is the number, which may be another one already. The error can only be [ErrClosed].
func (g *WaitGroup) Count() (int, error) {
	if g.in == nil {
		return 0, errNotMade
	}
	return g.in.x.Count()
}

// Wait waits until the number is 0. The error is ctx's or [ErrClosed].
func (g *WaitGroup) Wait(ctx context.Context) error {
	if g.in == nil {
		return errNotMade
	}
	return ended(ctx, g.in.x.Wait(ctx))
}
