package manager

import (
	"context"
	"fmt"
	"hash/fnv"
	"reflect"
	"sync"

	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A TypeOf is a type of the program whose objects can live in a manager; see [Type].
type TypeOf[T, A any] struct {
	name string
	f    func(ctx context.Context, arg A) (*T, error)
	arg  *codec.Type[A]
	once func() error
}

// Type registers a type whose objects can live in a manager. In the manager's process, f makes an
// object from an argument. Other processes can call only methods that are registered with [Method].
// If *T has a method Close() error, the manager calls it when no process uses the object any
// longer, or when the manager is shut down.
//
// Like [mp.Register], Type must be called in package variables or init functions. It panics if the
// name is empty or taken.
func Type[T, A any](name string, f func(ctx context.Context, arg A) (*T, error)) *TypeOf[T, A] {
	t := &TypeOf[T, A]{f: f}
	t.once = sync.OnceValue(t.choose)
	t.name = functions.add("Type", caller.Package(), name, f == nil, t)
	return t
}

func (t *TypeOf[T, A]) check() error { return t.once() }

func (t *TypeOf[T, A]) choose() (err error) {
	if t.arg, err = codec.ForMessage[A](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	return nil
}

// shapeOf returns a shape that depends only on the type's name, since no object of the type is ever
// encoded.
func (t *TypeOf[T, A]) shapeOf() uint64 { return shapeOfType[T]() }

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

// making is a TypeOf with any types.
type making interface {
	registered
	shapeOf() uint64
	create(ctx context.Context, arg []byte) (any, error)
}

func shapeOfType[T any]() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, reflect.TypeFor[T]().PkgPath(), " ", reflect.TypeFor[T]())
	return store.Shape(store.KindOwn, h.Sum64())
}
