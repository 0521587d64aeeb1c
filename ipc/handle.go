package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

var errNotMade = errors.New("mp: an object that was not made by its constructor")

// handle is what all shared objects have in common: the pointer that a user has, the
// face, leads to it. There is one face in a process for an object.
type handle struct {
	obj  *share.Object
	face any
}

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

// Canonical returns the face.
func (h *handle) Canonical() any { return h.face }

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

// close closes the object, here or for everybody; inner tells those who wait.
func (h *handle) close(inner func(owned bool)) {
	faces.forget(h.obj)
	inner(h.obj.Owned())
	h.obj.Close()
}

// token is the wire form of a handle.
func (h *handle) token() ([]byte, error) {
	t, err := h.obj.Token()
	if err != nil {
		return nil, err
	}
	faces.add(h)
	return t.Append(nil), nil
}

// marshal is the MarshalBinary of every shared object.
func marshal(h *handle) ([]byte, error) {
	if h == nil {
		return nil, errNotMade
	}
	return h.token()
}

// faces are the objects of this process that can be met, by their tokens. They do not
// keep them alive.
var faces = faceTable{known: map[faceKey]func() any{}}

type faceTable struct {
	mu    sync.Mutex
	known map[faceKey]func() any // the face, or nil if it is no longer reachable
}

type faceKey struct {
	segment uint64
	offset  uint32
	gen     uint32
}

func keyOf(t share.Token) faceKey { return faceKey{t.Segment, t.Offset, t.Gen} }

// add makes an object of this process known.
func (f *faceTable) add(h *handle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := keyOf(h.obj.Name())
	if f.known[key] == nil {
		f.known[key] = h.face.(interface{ weakly() func() any }).weakly()
	}
}

func (f *faceTable) forget(o *share.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, keyOf(o.Name()))
}

// weakly returns a function that returns p as long as somebody else has it.
func weakly[T any](p *T) func() any {
	w := weak.Make(p)
	return func() any {
		if p := w.Value(); p != nil {
			return p
		}
		return nil
	}
}

// meet sets *into to the object that a token stands for, which open makes known here if
// it is not yet.
func meet[T any](b []byte, kind xsync.Kind, into *T, open func(o *share.Object, rest []byte) (*T, error)) error {
	t, rest, err := share.ParseToken(b, kind)
	if err != nil {
		return err
	}
	faces.mu.Lock()
	defer faces.mu.Unlock()
	key := keyOf(t)
	if known := faces.known[key]; known != nil {
		face, ok := known().(*T)
		if known() != nil && !ok {
			return errors.New("mp: a handle of another type than the object that is known by it")
		}
		if ok {
			if t.Owned {
				any(face).(sharer).shared().obj.Offer()
			}
			*into = *face
			return nil
		}
	}
	obj, err := share.Meet(t)
	if err != nil {
		return err
	}
	face, err := open(obj, rest)
	if err != nil {
		obj.Close()
		return err
	}
	if t.Owned {
		obj.Offer()
	}
	faces.known[key] = weakly(face)
	runtime.AddCleanup(face, func(o *share.Object) { go faces.collected(o) }, obj)
	*into = *face
	return nil
}

// loseObject ends the object that a ticket is of, which was given to this process with a result that
// cannot be decoded. If somebody here has it from elsewhere, it is this process's from now on.
func loseObject(ticket []byte) {
	t, _, err := share.ParseToken(ticket, share.KindOf(ticket))
	if err != nil || !t.Owned {
		return
	}
	faces.mu.Lock()
	defer faces.mu.Unlock()
	obj := faces.objectOf(t)
	if obj == nil {
		if obj, err = share.Meet(t); err != nil {
			return
		}
	}
	had, ours := obj.Received(), obj.Owned()
	obj.Offer()
	obj.Take()
	if had || ours {
		return
	}
	delete(faces.known, keyOf(t))
	if obj.Small() {
		xsync.End(t.Kind, obj.Memory())
	}
	obj.Close()
}

// objectOf is the object of a face that somebody may have; under the lock.
func (f *faceTable) objectOf(t share.Token) *share.Object {
	if known := f.known[keyOf(t)]; known != nil {
		if face := known(); face != nil {
			return face.(sharer).shared().obj
		}
	}
	return nil
}

// collected is called when an object that this process had met is no longer reachable here. If
// the process is its owner by now, it must still be closed.
func (f *faceTable) collected(o *share.Object) {
	f.mu.Lock()
	key := keyOf(o.Name())
	if known := f.known[key]; known != nil && known() == nil {
		delete(f.known, key)
	}
	f.mu.Unlock()
	if !o.Owned() {
		o.Forget()
	}
}

// made finishes an object that this process has made.
func made[T any](o *share.Object, face *T, h *handle) *T {
	h.obj, h.face = o, face
	o.Made()
	return face
}

// ended is err, or if that is because ctx has ended, the context's own.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return cause.Of(ctx)
	}
	return err
}

// fixed returns an error that names the first part of t that is no number: another
// process could write anything there, and only for numbers every bit pattern is a value.
func fixed(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return nil
	case reflect.Array:
		return fixed(t.Elem(), path+"[]")
	case reflect.Struct:
		for f := range t.Fields() {
			if err := fixed(f.Type, path+"."+f.Name); err != nil {
				return err
			}
		}
		return nil
	case reflect.Bool:
		return fmt.Errorf("mp: %s is a bool, and another process could write what is neither true nor false there: use uint8", path)
	}
	kind := t.Kind().String()
	if t.Kind() == reflect.Pointer {
		kind = "pointer"
	}
	return fmt.Errorf("mp: %s is a %s, which cannot lie in shared memory: only numbers can, and arrays and structs of them", path, kind)
}

// fixedType is fixed for T itself, which must have a size.
func fixedType[T any]() error {
	t := reflect.TypeFor[T]()
	if err := fixed(t, t.String()); err != nil {
		return err
	}
	if t.Size() == 0 {
		return fmt.Errorf("mp: %v has no size", t)
	}
	return nil
}

// describeShape writes what a type looks like in memory, names left out.
func describeShape(w io.Writer, t reflect.Type) {
	fmt.Fprintf(w, "%v %d;", t.Kind(), t.Size())
	switch t.Kind() {
	case reflect.Array:
		describeShape(w, t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			fmt.Fprintf(w, "%d:", f.Offset)
			describeShape(w, f.Type)
		}
	}
}

// lockOf is the Mutex of which the handle was encoded with that of another object.
func lockOf(b []byte) (*Mutex, error) {
	var m Mutex
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return m.m.face.(*Mutex), nil
}

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
