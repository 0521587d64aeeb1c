package ipc

import (
	"context"
	"errors"
	"runtime"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

var errNotMade = errors.New("mp: an object that was not made by its constructor")

// An Option configures an object that processes share: every constructor with options accepts it, except
// [NewSharedMemory]. A nil Option changes nothing.
type Option interface {
	QueueOption
	PipeOption
	ValueOption
	applyObject(*objectOptions)
}

type objectOptions struct{ isolated bool }

// Isolated gives the object a memory segment of its own. Other small objects lie together in segments, and a
// corrupt process that received the handle of one could write over all others in its segment. A segment of
// its own takes a descriptor and some 8 KiB.
func Isolated() Option { return isolation{} }

type isolation struct{}

func (isolation) applyObject(o *objectOptions) { o.isolated = true }
func (isolation) applyQueue(o *queueOptions)   { o.isolated = true }
func (isolation) applyPipe(o *pipeOptions)     { o.isolated = true }
func (isolation) applyValue(o *valueOptions)   { o.isolated = true }

// object is embedded in the public type P of an object that several processes have at a time. All
// copies of a P, and all pointers to the same object in this process, lead to one inner V. A zero P
// has none. P has no other fields.
type object[P, V any, I inner[V]] struct{ in *V }

// inner is implemented by pointers to the inner types, which embed a handle.
type inner[V any] interface {
	*V
	base() *handle

	// kind returns the kind of the object. It needs no receiver.
	kind() xsync.Kind

	// open sets an empty inner to an object that another process has made. The rest is what encode has
	// appended there; another process may have written anything instead.
	open(o *share.Object, rest []byte) error

	// encode appends what open needs to the encoding of a handle.
	encode(b []byte) ([]byte, error)

	// end closes the object in shared memory, for all processes if this process owns it, and wakes callers
	// that wait.
	end(owned bool)
}

// public is implemented by pointers to the types that embed an object.
type public[V any] interface {
	sharer
	inner() *V
	lead(to *V)
}

func (p *object[P, V, I]) inner() *V  { return p.in }
func (p *object[P, V, I]) lead(to *V) { p.in = to }

func (p *object[P, V, I]) shared() *handle {
	if p.in == nil {
		return nil
	}
	return I(p.in).base()
}

// Close closes the object: for all processes if this process owns it, else for this process alone. The
// owner is the process that made the object, or received it as the result of a task. Calls that wait, and
// later ones, return [ErrClosed]. Closing twice is fine.
func (p *object[P, V, I]) Close() error {
	if p.in == nil {
		return errNotMade
	}
	in := I(p.in)
	in.base().close(in.end)
	return nil
}

// MarshalBinary encodes a handle, not the state, for mp's own messages. The handle is valid only in this
// tree of processes.
func (p *object[P, V, I]) MarshalBinary() ([]byte, error) {
	if p.in == nil {
		return nil, errNotMade
	}
	h := I(p.in).base()
	t, err := h.obj.Token()
	if err != nil {
		return nil, err
	}
	attached.add(h.obj, weakRef(h.canonical.(*P)))
	return I(p.in).encode(t.Append(nil))
}

// UnmarshalBinary makes the receiver a handle of the encoded object.
func (p *object[P, V, I]) UnmarshalBinary(data []byte) error { return p.attach(data, nil) }

// attach makes the receiver a handle of the encoded object. If the object is new to this process, attach
// opens it in an empty inner, which may be nil.
func (p *object[P, V, I]) attach(data []byte, empty *V) error {
	t, rest, err := share.ParseToken(data, I(nil).kind())
	if err != nil {
		return err
	}

	attached.mu.Lock()
	defer attached.mu.Unlock()
	if known := attached.pointer(t); known != nil {
		canonical, ok := known.(*P)
		if !ok {
			return errors.New("mp: a handle of another type than the object that is known by it")
		}
		if t.Owned {
			any(canonical).(sharer).shared().obj.Offer()
		}
		p.in = any(canonical).(public[V]).inner()
		return nil
	}

	obj, err := share.Meet(t)
	if err != nil {
		return err
	}
	if empty == nil {
		empty = new(V)
	}
	if err := I(empty).open(obj, rest); err != nil {
		obj.Close()
		return err
	}
	if t.Owned {
		obj.Offer()
	}
	canonical := wrap[P](obj, I(empty))
	attached.known[keyOf(t)] = weakRef(canonical)
	runtime.AddCleanup(canonical, func(o *share.Object) { go attached.dropIfUnused(o) }, obj)
	p.in = empty
	return nil
}

// newObject returns a new object that its constructor makes from the options. It costs a message to the parent
// in a worker that shares something for the first time.
func newObject(kind xsync.Kind, size int, opts []Option) (*share.Object, error) {
	var o objectOptions
	for _, opt := range opts {
		if opt != nil {
			opt.applyObject(&o)
		}
	}
	return share.New(kind, size, o.isolated)
}

// publish returns the public pointer to an object that this process has made, and lets other processes
// attach it.
func publish[P, V any, I inner[V]](o *share.Object, in I) *P {
	canonical := wrap[P](o, in)
	o.Made()
	return canonical
}

// wrap returns the public pointer to an object.
func wrap[P, V any, I inner[V]](o *share.Object, in I) *P {
	canonical := new(P)
	any(canonical).(public[V]).lead(in)
	*in.base() = handle{o, canonical}
	return canonical
}

// ended is err, or if that is because ctx has ended, the context's own.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return cause.Of(ctx)
	}
	return err
}
