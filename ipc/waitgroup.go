package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A WaitGroup counts pieces of work in progress in several processes, and lets callers wait until
// none is left. It can be sent like a [Mutex] and is safe for concurrent use.
//
// A WaitGroup does not know which process does which work. If a process dies, the work that it has
// not reported as done stays in the count. If work must not get lost, make it a task of an
// [mp.Pool] instead.
type WaitGroup struct {
	object[WaitGroup, waitGroup, *waitGroup]
}

type waitGroup struct {
	handle
	x *xsync.WaitGroup
}

func (*waitGroup) kind() xsync.Kind { return xsync.KindWaitGroup }

func (g *waitGroup) open(o *objects.Object, _ []byte) error {
	g.x = xsync.OpenWaitGroup(o.Memory())
	return nil
}

func (g *waitGroup) end(owned bool) { g.x.Close(owned) }

// NewWaitGroup makes a WaitGroup with a count of 0. Its cost and its errors are those of
// [NewMutex].
func NewWaitGroup(opts ...Option) (*WaitGroup, error) {
	o, err := newObject(xsync.KindWaitGroup, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[WaitGroup](o, &waitGroup{x: xsync.NewWaitGroup(o.Memory())}), nil
}

// Add adds n, which may be negative, to the count. If the count would become negative, Add returns
// an error and changes nothing. If the WaitGroup is closed, it returns [ErrClosed].
func (g *WaitGroup) Add(n int) error {
	if g.in == nil {
		return errNotMade
	}
	return g.in.x.Add(n)
}

// Done subtracts 1 from the count.
func (g *WaitGroup) Done() error { return g.Add(-1) }

// Count returns the count, which may have changed since. The only error is [ErrClosed].
func (g *WaitGroup) Count() (int, error) {
	if g.in == nil {
		return 0, errNotMade
	}
	return g.in.x.Count()
}

// Wait waits until the count is 0 or ctx ends. The error is ctx's or [ErrClosed].
func (g *WaitGroup) Wait(ctx context.Context) error {
	if g.in == nil {
		return errNotMade
	}
	return ended(ctx, g.in.x.Wait(ctx))
}
