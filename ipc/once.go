package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Once is something that one goroutine of one process does for all of them. It can be
// sent like a [Mutex] and is safe for concurrent use.
type Once struct {
	object[Once, once, *once]
}

type once struct {
	handle
	x *xsync.Once
}

func (*once) kind() xsync.Kind { return xsync.KindOnce }

func (o *once) open(obj *share.Object, _ []byte) error {
	o.x = xsync.OpenOnce(obj.Memory())
	return nil
}

func (o *once) end(owned bool) { o.x.Close(owned) }

// NewOnce makes a Once that has not been done; see [NewMutex].
func NewOnce(opts ...Option) (*Once, error) {
	obj, err := newObject(xsync.KindOnce, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[Once](obj, &once{x: xsync.NewOnce(obj.Memory())}), nil
}

// Do calls f if it has not been done yet. While somebody else is at it, it waits, until ctx
// ends. When it returns nil, f has returned nil somewhere. If f returns an error, Do returns
// that here, and the next one calls its f; so it is if f panics or its process dies.
func (o *Once) Do(ctx context.Context, f func() error) error {
	if o.in == nil {
		return errNotMade
	}
	return ended(ctx, o.in.x.Do(ctx, f))
}

// Done reports whether it has been done. The error can only be [ErrClosed].
func (o *Once) Done() (bool, error) {
	if o.in == nil {
		return false, errNotMade
	}
	return o.in.x.Done()
}
