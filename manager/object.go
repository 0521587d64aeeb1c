package manager

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// An Object is a proxy for an object in a manager whose type is one of the program's own. A pointer
// to an Object can be sent to other processes, and can be put into objects of the same manager. An
// Object is safe for concurrent use.
type Object[T any] struct{ p *proxy }

// New makes an object of a registered type in a manager. The error comes from the function that
// makes the object, or says that the manager's program lacks the type.
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

// Invoke calls a method of an object in the object's manager. If the error is [ErrLost] or ctx's,
// the method may have been called, and may still be running.
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

// Close ends the proxy, not the object; see [Dict.Close].
func (o *Object[T]) Close() error { return o.p.close() }

// MarshalBinary encodes the proxy, not the object.
func (o *Object[T]) MarshalBinary() ([]byte, error) { return o.p.marshal() }

// UnmarshalBinary sets o to the proxy encoded in data.
func (o *Object[T]) UnmarshalBinary(data []byte) (err error) {
	o.p, err = unmarshal(data, store.KindOwn, shapeOfType[T]())
	return err
}
