package manager

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Value is a proxy for one value in a manager. The notes on values in the documentation of [Dict]
// apply here as well.
type Value[T any] struct {
	p     *proxy
	value *codec.Type[T]
}

// NewValue makes a Value in a manager. If a part of T cannot be encoded, the error names that part.
func NewValue[T any](ctx context.Context, m *Manager, v T, opts ...Option) (*Value[T], error) {
	x, err := valueOf[T]()
	if err != nil {
		return nil, fmt.Errorf("manager: NewValue: %w", err)
	}
	x.p, err = m.make(ctx, store.KindValue, x.shape(), opts, func(r *request) error { return write(r, x.value, &v) })
	if err != nil {
		return nil, err
	}
	return x, nil
}

func valueOf[T any]() (*Value[T], error) {
	c, err := codec.ForMessage[T]()
	return &Value[T]{value: c}, err
}

func (v *Value[T]) shape() uint64 { return store.Shape(store.KindValue, v.value.Fingerprint()) }

func (v *Value[T]) begin(op store.Op, values ...T) (*request, error) {
	r, err := v.p.begin(op)
	if err != nil {
		return nil, err
	}
	for i := range values {
		if err := write(r, v.value, &values[i]); err != nil {
			r.free()
			return nil, err
		}
	}
	return r, nil
}

// Load returns the value.
func (v *Value[T]) Load(ctx context.Context) (value T, err error) {
	err = v.p.ask(ctx, store.OpValueLoad, func(in *store.Reader) error { return read(in, v.value, &value) })
	return value, err
}

// Store sets the value.
func (v *Value[T]) Store(ctx context.Context, value T) error {
	r, err := v.begin(store.OpValueStore, value)
	if err != nil {
		return err
	}
	return r.do(ctx, nil)
}

// Swap sets the value and returns the old one.
func (v *Value[T]) Swap(ctx context.Context, value T) (old T, err error) {
	r, err := v.begin(store.OpValueSwap, value)
	if err != nil {
		return old, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return read(in, v.value, &old) })
	return old, err
}

// CompareAndSwap sets the value if its encoding equals old's, and reports whether it did.
func (v *Value[T]) CompareAndSwap(ctx context.Context, old, value T) (swapped bool, err error) {
	r, err := v.begin(store.OpValueCAS, old, value)
	if err != nil {
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { swapped = in.Bool(); return nil })
	return swapped, err
}

// UpdateValue is like [Update], but for a Value, which f cannot remove.
func UpdateValue[T, A any](ctx context.Context, v *Value[T], f *Func[T, A], arg A) (value T, err error) {
	r, err := v.p.begin(store.OpValueChange)
	if err != nil {
		return value, err
	}
	return change(ctx, r, f.writeTo(r), f, arg)
}

// Close ends the proxy; see [Dict.Close].
func (v *Value[T]) Close() error { return v.p.close() }

// MarshalBinary encodes the proxy, not the contents.
func (v *Value[T]) MarshalBinary() ([]byte, error) { return v.p.marshal() }

// UnmarshalBinary sets v to the proxy encoded in data.
func (v *Value[T]) UnmarshalBinary(data []byte) error {
	fresh, err := valueOf[T]()
	if err != nil {
		return err
	}
	fresh.p, err = unmarshal(data, store.KindValue, fresh.shape())
	if err == nil {
		*v = *fresh
	}
	return err
}
