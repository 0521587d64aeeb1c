package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Once runs a function in one process on behalf of all processes. It can be sent like a [Mutex]
// and is safe for concurrent use.
type Once struct {
	object[Once, once, *once]
}

type once struct {
	handle
	x *xsync.Once
}

func (*once) kind() xsync.Kind { return xsync.KindOnce }

func (o *once) open(obj *objects.Object, _ []byte) error {
	o.x = xsync.OpenOnce(obj.Memory())
	return nil
}

func (o *once) end(owned bool) { o.x.Close(owned) }

// NewOnce makes a Once that is not done. Its cost and its errors are those of [NewMutex].
func NewOnce(opts ...Option) (*Once, error) {
	obj, err := newObject(xsync.KindOnce, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[Once](obj, &once{x: xsync.NewOnce(obj.Memory())}), nil
}

// Do calls f if no call of Do has succeeded yet. While another caller runs its function, Do waits
// until ctx ends. If Do returns nil, the function of one of the callers has returned nil. If f
// returns an error, Do returns that error and the next caller runs its own function. If f panics or
// its process dies, the next caller runs its own function too. Other errors are ctx's and
// [ErrClosed].
func (o *Once) Do(ctx context.Context, f func() error) error {
	if o.in == nil {
		return errNotMade
	}
	return ended(ctx, o.in.x.Do(ctx, f))
}

// Done reports whether a call of Do has succeeded. The only error is [ErrClosed].
func (o *Once) Done() (bool, error) {
	if o.in == nil {
		return false, errNotMade
	}
	return o.in.x.Done()
}
