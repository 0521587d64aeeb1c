package manager

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A MethodOf is a method that can be called on objects in a manager; see [Method].
type MethodOf[T, In, Out any] struct {
	name string
	f    func(o *T, ctx context.Context, arg In) (Out, error)
	in   *codec.Type[In]
	out  *codec.Type[Out]
	once func() error
}

// Method registers a method that other processes can call with [Invoke]:
//
//	var add = manager.Method("add", (*Counter).Add)
//
// Many goroutines may call the method at once, like a server's handlers, so it must guard what it
// changes. Its error reaches the caller as a task's error would, and a panic reaches the caller as
// an [*mp.PanicError]. ctx ends when the caller's context ends or the caller's process dies; the
// caller does not wait for the method after that. A method that hangs or panics affects no other
// call.
//
// Like [mp.Register], Method must be called in package variables or init functions. It panics if
// the name is empty or taken.
func Method[T, In, Out any](name string, f func(o *T, ctx context.Context, arg In) (Out, error)) *MethodOf[T, In, Out] {
	m := &MethodOf[T, In, Out]{f: f}
	m.once = sync.OnceValue(m.choose)
	m.name = functions.add("Method", caller.Package(), name, f == nil, m)
	return m
}

func (m *MethodOf[T, In, Out]) check() error { return m.once() }

func (m *MethodOf[T, In, Out]) choose() (err error) {
	if m.in, err = codec.ForMessage[In](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	if m.out, err = codec.ForMessage[Out](); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// invoking is a MethodOf with any types.
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
