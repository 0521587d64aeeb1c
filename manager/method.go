package manager

import (
	"context"
	"fmt"
	"hash/fnv"
	"reflect"
	"sync"

	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/store"
)

// A TypeOf is a type of the user's of which objects can live in a manager; see [Type].
type TypeOf[T, A any] struct {
	name string
	f    func(ctx context.Context, arg A) (*T, error)
	arg  *codec.Type[A]
	once func() error
}

// Type registers a type of which objects can live in a manager, with the function that makes one there of
// an argument. What such an object can be asked is registered with [Method]; nothing else can.
// If *T has a method Close() error, it is called when nobody has the object any more, or the
// manager is shut down.
//
// Like [mp.Register] it belongs into package variables or init functions, and panics if the name
// is empty or taken.
func Type[T, A any](name string, f func(ctx context.Context, arg A) (*T, error)) *TypeOf[T, A] {
	t := &TypeOf[T, A]{f: f}
	t.once = sync.OnceValue(t.choose)
	t.name = functions.add("Type", caller.Package(), name, f == nil, t)
	return t
}

func (t *TypeOf[T, A]) check() error { return t.once() }

func (t *TypeOf[T, A]) choose() (err error) {
	if t.arg, err = codecOf[A](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	return nil
}

// making is a TypeOf of any types.
type making interface {
	registered
	shapeOf() uint64
	create(ctx context.Context, arg []byte) (any, error)
}

// shapeOf tells types apart by their names, since nothing of them travels.
func (t *TypeOf[T, A]) shapeOf() uint64 { return shapeOfType[T]() }

func shapeOfType[T any]() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, reflect.TypeFor[T]().PkgPath(), " ", reflect.TypeFor[T]())
	return store.Shape(store.KindOwn, h.Sum64())
}

func (t *TypeOf[T, A]) create(ctx context.Context, arg []byte) (object any, err error) {
	err = shielded(func() error {
		var a A
		if err := decode(t.arg, arg, &a); err != nil {
			return err
		}
		o, err := t.f(ctx, a)
		if err == nil && o == nil {
			err = fmt.Errorf("manager: the function of the type %s has made nothing", t.name)
		}
		object = o
		return err
	})
	return object, err
}

// A MethodOf is a method that objects in a manager can be asked for; see [Method].
type MethodOf[T, In, Out any] struct {
	name string
	f    func(o *T, ctx context.Context, arg In) (Out, error)
	in   *codec.Type[In]
	out  *codec.Type[Out]
	once func() error
}

// Method registers a method that can be called from other processes, by [Invoke]:
//
//	var add = manager.Method("add", (*Counter).Add)
//
// It is called by many goroutines at once, as the handlers of a server are: what it changes it has
// to guard. Its error arrives as that of a task does, a panic as [*mp.PanicError]. When the
// caller's context ends, or its process dies, so does ctx; the caller does not wait for what the
// method does then. One that hangs or panics harms nobody else.
//
// Like [mp.Register] it belongs into package variables or init functions, and panics if the name
// is empty or taken.
func Method[T, In, Out any](name string, f func(o *T, ctx context.Context, arg In) (Out, error)) *MethodOf[T, In, Out] {
	m := &MethodOf[T, In, Out]{f: f}
	m.once = sync.OnceValue(m.choose)
	m.name = functions.add("Method", caller.Package(), name, f == nil, m)
	return m
}

func (m *MethodOf[T, In, Out]) check() error { return m.once() }

func (m *MethodOf[T, In, Out]) choose() (err error) {
	if m.in, err = codecOf[In](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	if m.out, err = codecOf[Out](); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// invoking is a MethodOf of any types.
type invoking interface {
	registered
	shapeOf() uint64
	bind(object any) (func(ctx context.Context, arg []byte) ([]byte, error), error)
}

func (m *MethodOf[T, In, Out]) shapeOf() uint64 {
	return store.Shape(0, m.in.Fingerprint(), m.out.Fingerprint())
}

func (m *MethodOf[T, In, Out]) bind(object any) (func(ctx context.Context, arg []byte) ([]byte, error), error) {
	o, ok := object.(*T)
	if !ok {
		return nil, fmt.Errorf("%w: the method %s is not of a %T", ErrKind, m.name, object)
	}
	return func(ctx context.Context, arg []byte) (result []byte, err error) {
		err = shielded(func() error {
			var in In
			if err := decode(m.in, arg, &in); err != nil {
				return err
			}
			out, err := m.f(o, ctx, in)
			if err == nil {
				result, err = encode(nil, m.out, &out)
			}
			return err
		})
		return result, err
	}, nil
}

// An Object is a proxy of an object of the user's own type in a manager. A pointer to it can be sent to
// other processes, and be put into objects of the same manager. It is safe for concurrent use.
type Object[T any] struct{ p *proxy }

// New makes an object of a registered type in a manager. The error is that of the function that
// makes it, or says that the manager's program lacks the type.
func New[T, A any](ctx context.Context, m *Manager, t *TypeOf[T, A], arg A, opts ...Option) (*Object[T], error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("manager: New: %s: %w", t.name, err)
	}
	p, err := m.make(ctx, store.KindOwn, t.shapeOf(), opts, func(r *request) error {
		r.Bytes([]byte(t.name))
		return write(r, t.arg, &arg)
	})
	if err != nil {
		return nil, err
	}
	return &Object[T]{p}, nil
}

// Invoke calls a method of an object in its manager. With [ErrLost], and when ctx ends, the method may
// have been called, and go on.
func Invoke[T, In, Out any](ctx context.Context, o *Object[T], m *MethodOf[T, In, Out], arg In) (out Out, err error) {
	if err := m.check(); err != nil {
		return out, fmt.Errorf("manager: Invoke: %s: %w", m.name, err)
	}
	r, err := o.p.begin(store.OpInvoke)
	if err != nil {
		return out, err
	}
	r.Bytes([]byte(m.name))
	r.Uint(m.shapeOf())
	if err := write(r, m.in, &arg); err != nil {
		r.free()
		return out, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return read(in, m.out, &out) })
	return out, err
}

// Close is [Dict.Close]: it ends the proxy, not the object.
func (o *Object[T]) Close() error { return o.p.close() }

// MarshalBinary encodes the proxy, not the object.
func (o *Object[T]) MarshalBinary() ([]byte, error) { return o.p.marshal() }

// UnmarshalBinary makes o a proxy of what was encoded.
func (o *Object[T]) UnmarshalBinary(data []byte) (err error) {
	o.p, err = unmarshal(data, store.KindOwn, shapeOfType[T]())
	return err
}
