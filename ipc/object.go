package ipc

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

var errNotMade = errors.New("mp: an object that was not made by its constructor")

// An Option configures an object that processes share. Every constructor that takes options accepts
// an Option, except [NewSharedMemory]. A nil Option changes nothing.
type Option interface {
	QueueOption
	PipeOption
	ValueOption
	applyObject(*objectOptions)
}

type objectOptions struct{ isolated bool }

// Isolated gives the object a memory segment of its own. Other small objects share segments, and a
// corrupt process that received a handle to one object can write over all objects in the same
// segment. A segment of its own takes a descriptor and some 8 KiB.
func Isolated() Option { return isolation{} }

type isolation struct{}

func (isolation) applyObject(o *objectOptions) { o.isolated = true }
func (isolation) applyQueue(o *queueOptions)   { o.isolated = true }
func (isolation) applyPipe(o *pipeOptions)     { o.isolated = true }
func (isolation) applyValue(o *valueOptions)   { o.isolated = true }

// object is embedded in the public type P of an object that several processes can have at a time. P
// has no other fields. In this process, all pointers to a P for the same object, and all copies of
// that P, lead to one inner V. A zero P has no inner.
type object[P, V any, I inner[V]] struct{ in *V }

// inner is implemented by pointers to the inner types, which embed a handle.
type inner[V any] interface {
	*V
	// base returns the handle that the inner embeds.
	base() *handle

	// kind returns the kind of the object. It also works with a nil receiver.
	kind() xsync.Kind

	// open makes an empty inner refer to an object that another process has made. The argument rest
	// is what encode appended, or anything at all if another process is corrupt.
	open(o *objects.Object, rest []byte) error

	// encode appends to the encoding of a handle what open needs.
	encode(b []byte) ([]byte, error)

	// end closes the object in shared memory, for all processes if owned is set, and wakes waiting
	// callers.
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

// Close closes the object: for all processes if this process owns the object, else for this process
// alone. The owner is the process that made the object or received it as the result of a task.
// Waiting calls and later calls return [ErrClosed]. Closing twice is fine.
func (p *object[P, V, I]) Close() error {
	if p.in == nil {
		return errNotMade
	}
	in := I(p.in)
	in.base().close(in.end)
	return nil
}

// MarshalBinary encodes a handle, not the state, for a message of mp. The handle is valid only in
// this tree of processes.
func (p *object[P, V, I]) MarshalBinary() ([]byte, error) {
	if p.in == nil {
		return nil, errNotMade
	}
	h := I(p.in).base()
	t, err := h.obj.Token()
	if err != nil {
		return nil, err
	}
	attached.add(h.obj, func() func() any { return weakRef(h.canonical.(*P)) })
	return I(p.in).encode(t.Append(nil))
}

// UnmarshalBinary makes the receiver a handle to the encoded object.
func (p *object[P, V, I]) UnmarshalBinary(data []byte) error { return p.attach(data, nil) }

// attach makes the receiver a handle to the encoded object. If the object is new to this process,
// attach opens it in empty, or in a new V if empty is nil.
func (p *object[P, V, I]) attach(data []byte, empty *V) error {
	t, rest, err := objects.ParseToken(data, I(nil).kind())
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

	obj, err := objects.Attach(t)
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
	runtime.AddCleanup(canonical, func(o *objects.Object) { go attached.dropIfUnused(o) }, obj)
	p.in = empty
	return nil
}

// newObject returns the memory of a new object. The options are those of its constructor.
func newObject(kind xsync.Kind, size int, opts []Option) (*objects.Object, error) {
	var o objectOptions
	for _, opt := range opts {
		if opt != nil {
			opt.applyObject(&o)
		}
	}
	return objects.New(kind, size, o.isolated)
}

// publish returns the public pointer to an object that this process has made, and lets other
// processes attach it.
func publish[P, V any, I inner[V]](o *objects.Object, in I) *P {
	canonical := wrap[P](o, in)
	o.Ready()
	return canonical
}

// wrap returns the public pointer to an object.
func wrap[P, V any, I inner[V]](o *objects.Object, in I) *P {
	canonical := new(P)
	any(canonical).(public[V]).lead(in)
	*in.base() = handle{o, canonical}
	return canonical
}

// ended returns ctx's error if err is due to the end of ctx. In all other cases it returns err.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return cause.Of(ctx)
	}
	return err
}

// handle is embedded in the inner type of every object. For each object, a process has one
// canonical pointer to the public type.
type handle struct {
	obj       *objects.Object
	canonical any
}

func (h *handle) base() *handle { return h }

// encode appends nothing. An inner type whose open needs more has its own encode.
func (h *handle) encode(b []byte) ([]byte, error) { return b, nil }

// sharer is implemented by pointers to the public types of all objects.
type sharer interface{ shared() *handle }

var sharerType = reflect.TypeFor[sharer]()

func init() {
	codec.RegisterObjects(codec.Objects{
		IsHandle:   func(t reflect.Type) bool { return t.Implements(sharerType) && isOwn(t.Elem()) },
		IsDerived:  func(t reflect.Type) bool { return t.Implements(sharerType) && !isOwn(t.Elem()) },
		IsMover:    func(t reflect.Type) bool { return t.Implements(movableType) },
		HandleOf:   handleOf,
		Travelling: sharedTypes,
		TicketSize: ticketSize,
		NotHere:    notHere,
		NewHere:    newHere,
		Lose:       loseTicket,
		Receipt:    newReceipt,
	})
}

// movable is implemented by pointers to the public types of objects that one process has at a time.
type movable interface {
	sharer
	moving() codec.Mover
}

var movableType = reflect.TypeFor[movable]()

// isOwn reports whether a type is declared in this package.
func isOwn(t reflect.Type) bool { return t.PkgPath() == reflect.TypeFor[Mutex]().PkgPath() }

// handleOf returns the handle of the object that p points to, or nil if no constructor has made the
// object.
func handleOf(p any) codec.Handle {
	h := p.(sharer).shared()
	if h == nil {
		return nil
	}
	if m, ok := p.(movable); ok {
		return m.moving()
	}
	return h
}

// carryIn implements carried.
func (h *handle) carryIn(in *objects.Object) (id uint64, err error) {
	if h.obj == nil { // a Conn of a Transport: encoding it returns the error
		return 0, nil
	}
	return in.Carry(h.obj)
}

// Canonical implements [codec.Handle].
func (h *handle) Canonical() any { return h.canonical }

// Given returns the ticket of the object if Give would leave the object to the caller of the task.
func (h *handle) Given() ([]byte, error) {
	if !h.obj.Givable() {
		return nil, nil
	}
	t, err := h.obj.Token()
	if err != nil {
		return nil, err
	}
	return append(t.Append(make([]byte, 0, ticketSize)), make([]byte, ticketSize-objects.TokenSize)...), nil
}

// Give leaves the object to the caller of the task that has returned it.
func (h *handle) Give() { h.obj.Give() }

// Take makes this process the owner of an object that a task has returned.
func (h *handle) Take() { h.obj.Take() }

// Refuse leaves the ownership of an object that was an argument with the sender.
func (h *handle) Refuse() { h.obj.Refuse() }

// close closes the object, for all processes if this process owns the object. It calls end, which
// wakes waiting callers.
func (h *handle) close(end func(owned bool)) {
	attached.forget(h.obj)
	end(h.obj.Owned())
	h.obj.Close()
}

// moved is the handle of an object that one process has at a time. Such an object changes hands
// only with a message: the methods by which a task gives its caller an object do nothing.
type moved struct{ handle }

func (*moved) Given() ([]byte, error) { return nil, nil }
func (*moved) Give()                  {}
func (*moved) Take()                  {}
func (*moved) Refuse()                {}

// sharedTypes returns the types of objects that can travel in interfaces without having been
// registered.
func sharedTypes() []reflect.Type {
	return slices.Concat(
		[]reflect.Type{
			reflect.TypeFor[*Mutex](), reflect.TypeFor[*RWMutex](), reflect.TypeFor[*RecursiveMutex](),
			reflect.TypeFor[*Semaphore](), reflect.TypeFor[*BoundedSemaphore](), reflect.TypeFor[*Cond](),
			reflect.TypeFor[*Event](), reflect.TypeFor[*Barrier](), reflect.TypeFor[*WaitGroup](),
			reflect.TypeFor[*Once](), reflect.TypeFor[*SharedMemory](),
		},
		ofNumber[int](), ofNumber[int8](), ofNumber[int16](), ofNumber[int32](), ofNumber[int64](),
		ofNumber[uint](), ofNumber[uint8](), ofNumber[uint16](), ofNumber[uint32](), ofNumber[uint64](),
		ofNumber[float32](), ofNumber[float64](),
	)
}

func ofNumber[T Number]() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[*Array[T]](), reflect.TypeFor[*Value[T]](), reflect.TypeFor[*Atomic[T]](), reflect.TypeFor[*Slab[T]]()}
}
