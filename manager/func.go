package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Func computes a new value from an old one in the manager's process; see [Function].
type Func[V, A any] struct {
	name string
	f    func(ctx context.Context, old V, arg A) (V, error)
	in   *codec.Type[V]
	arg  *codec.Type[A]
	once func() error
}

// Function registers a function that changes a value in the manager, so that no other change comes
// in between; see [Update]. f gets the old value, or the zero value of V if there is no value, and
// an argument. If f returns [Remove], the value is removed. If f returns any other error, the
// caller gets the error and nothing is changed. If the value is changed by other means while f
// runs, f runs again with the new value, so f must have no side effects. When f's ctx ends, the
// caller no longer waits, and f should return. f must not update the value that it is called for,
// because it would then wait for itself.
//
// Like [mp.Register], Function must be called in package variables or init functions, so that the
// manager's process registers f too. It panics if the name is empty or taken.
func Function[V, A any](name string, f func(ctx context.Context, old V, arg A) (V, error)) *Func[V, A] {
	fn := &Func[V, A]{f: f}
	fn.once = sync.OnceValue(fn.choose)
	fn.name = functions.add("Function", caller.Package(), name, f == nil, fn)
	return fn
}

func (f *Func[V, A]) check() error { return f.once() }

func (f *Func[V, A]) choose() (err error) {
	if f.in, err = codec.ForMessage[V](); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if f.arg, err = codec.ForMessage[A](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	return nil
}

func (f *Func[V, A]) shapeOf() uint64 {
	return store.Shape(0, f.in.Fingerprint(), f.arg.Fingerprint())
}

func (f *Func[V, A]) change(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error) {
	err = shielded(func() error {
		var v V
		var a A
		if old != nil {
			if err := decode(f.in, old, &v); err != nil {
				return err
			}
		}
		if err := decode(f.arg, arg, &a); err != nil {
			return err
		}
		v, err := f.f(ctx, v, a)
		if err == nil {
			value, err = encode(nil, f.in, &v)
		}

		return err
	})
	if errors.Is(err, Remove) {
		return nil, true, nil
	}

	return value, false, err
}

// writeTo writes the name and the types of the function.
func (f *Func[V, A]) writeTo(r *request) error {
	if err := f.check(); err != nil {
		return err
	}
	r.Bytes([]byte(f.name))
	r.Uint(f.shapeOf())
	return nil
}

// changing is a Func with any types.
type changing interface {
	registered
	shapeOf() uint64
	change(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error)
}
