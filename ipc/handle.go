package ipc

import (
	"reflect"
	"slices"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/share"
)

// handle is embedded in the inner type of every object. A process has one canonical pointer to the public
// type for each object.
type handle struct {
	obj       *share.Object
	canonical any
}

func (h *handle) base() *handle { return h }

// encode is the encode of an inner that appends nothing.
func (h *handle) encode(b []byte) ([]byte, error) { return b, nil }

// sharer is implemented by pointers to all types of shared objects.
type sharer interface{ shared() *handle }

var sharerType = reflect.TypeFor[sharer]()

func init() {
	codec.RegisterObjects(codec.Objects{
		IsHandle:   func(t reflect.Type) bool { return t.Implements(sharerType) },
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

// movable is implemented by pointers to those of them that one process has at a time.
type movable interface {
	sharer
	moving() codec.Mover
}

var movableType = reflect.TypeFor[movable]()

// handleOf is that of a pointer to a shared object; nil if no constructor has made it.
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

// carryIn is carried's.
func (h *handle) carryIn(in *share.Object) (id uint64, err error) {
	if h.obj == nil { // a connection that cannot be sent, which its encoding tells
		return 0, nil
	}
	return in.Carry(h.obj)
}

// Canonical implements [codec.Handle].
func (h *handle) Canonical() any { return h.canonical }

// Given is the ticket of an object that Give leaves to the caller of the task.
func (h *handle) Given() ([]byte, error) {
	if !h.obj.Givable() {
		return nil, nil
	}
	t, err := h.obj.Token()
	if err != nil {
		return nil, err
	}
	return append(t.Append(make([]byte, 0, ticketSize)), make([]byte, ticketSize-share.TokenSize)...), nil
}

// Give leaves the object to the caller of the task that has returned it.
func (h *handle) Give() { h.obj.Give() }

// Take makes this process the owner of an object that a task has returned.
func (h *handle) Take() { h.obj.Take() }

// Refuse leaves an object that was an argument to its sender.
func (h *handle) Refuse() { h.obj.Refuse() }

// close closes the object, here or for everybody; end tells callers that wait.
func (h *handle) close(end func(owned bool)) {
	attached.forget(h.obj)
	end(h.obj.Owned())
	h.obj.Close()
}

// moved is the handle of an object that one process has at a time. It changes hands by its message alone: no task
// gives it to its caller.
type moved struct{ handle }

func (*moved) Given() ([]byte, error) { return nil, nil }
func (*moved) Give()                  {}
func (*moved) Take()                  {}
func (*moved) Refuse()                {}

// sharedTypes are those that can travel in interfaces without having been registered.
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
