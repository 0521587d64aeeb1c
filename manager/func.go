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

// A Func makes a new value of an old one in the manager's process; see [Function].
type Func[V, A any] struct {
	name string
	f    func(ctx context.Context, old V, arg A) (V, error)
	in   *codec.Type[V]
	arg  *codec.Type[A]
	once func() error
}

// Function registers a function that changes values where they are, so that nobody else changes them
// meanwhile; see [Update]. It gets the old value, the zero value of V if there is none, and an
// argument. Its error is the caller's, and changes nothing; with [Remove] the value is removed. If the
// value is changed by other means while f runs, f is called again with the new one; so it must have no
// effects beside its result. When its ctx ends, the caller does not wait any more; return then. It must
// not update what it is about to change itself: that would wait for its own end.
//
// Like [mp.Register] it belongs into package variables or init functions, so that the
// manager's process has it, and panics if the name is empty or taken.
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

// writeTo writes which function is to be called.
func (f *Func[V, A]) writeTo(r *request) error {
	if err := f.check(); err != nil {
		return err
	}
	r.Bytes([]byte(f.name))
	r.Uint(f.shapeOf())
	return nil
}

// changing is a Func of any types.
type changing interface {
	registered
	shapeOf() uint64
	change(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error)
}
