package ipc

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Once is something that one goroutine of one process does for all of them. It can be
// sent like a [Mutex] and is safe for concurrent use.
type Once struct{ o *once }

type once struct {
	handle
	x *xsync.Once
}

// NewOnce makes a Once that has not been done; see [NewMutex].
func NewOnce(cfg ObjectConfig) (*Once, error) {
	obj, err := share.New(xsync.KindOnce, xsync.Small, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	o := &once{x: xsync.NewOnce(obj.Memory())}
	return made(obj, &Once{o}, &o.handle), nil
}

// Do calls f if it has not been done yet. While somebody else is at it, it waits, until ctx
// ends. When it returns nil, f has returned nil somewhere. If f returns an error, Do returns
// that here, and the next one calls its f; so it is if f panics or its process dies.
func (o *Once) Do(ctx context.Context, f func() error) error {
	if o.o == nil {
		return errNotMade
	}
	return ended(ctx, o.o.x.Do(ctx, f))
}

// Done reports whether it has been done. The error can only be [ErrClosed].
func (o *Once) Done() (bool, error) {
	if o.o == nil {
		return false, errNotMade
	}
	return o.o.x.Done()
}

// Close closes the Once: for all processes if this process owns it, else for this process alone.
// The owner is the process that made the Once, or received it as the result of a task. Calls that
// wait, and later ones, return [ErrClosed]. Closing twice is fine.
func (o *Once) Close() error {
	if o.o == nil {
		return errNotMade
	}
	o.o.close(o.o.x.Close)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only
// in this tree of processes.
func (o *Once) MarshalBinary() ([]byte, error) { return marshal(o.shared()) }

// UnmarshalBinary makes o a handle of the encoded Once.
func (o *Once) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindOnce, o, func(obj *share.Object, _ []byte) (*Once, error) {
		x := &once{x: xsync.OpenOnce(obj.Memory())}
		face := &Once{x}
		x.handle = handle{obj, face}
		return face, nil
	})
}

func (o *Once) shared() *handle {
	if o.o == nil {
		return nil
	}
	return &o.o.handle
}

func (o *Once) weakly() func() any { return weakly(o) }
