package manager

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Namespace is a proxy for a set of attributes in a manager. Each attribute has a name and a
// value of any type; [Attribute] and [SetAttribute] get and set the value. The notes on values in
// the documentation of [Dict] apply here as well.
type Namespace struct{ p *proxy }

var namespaceShape = store.Shape(store.KindDict)

// NewNamespace makes an empty Namespace in a manager.
func NewNamespace(ctx context.Context, m *Manager, opts ...Option) (*Namespace, error) {
	p, err := m.make(ctx, store.KindDict, namespaceShape, opts, nil)
	if err != nil {
		return nil, err
	}
	return &Namespace{p}, nil
}

// attributeHead is the size of the fingerprint of the type, which precedes an encoded value.
const attributeHead = 8

// SetAttribute sets an attribute. The attribute's previous value may have had a different type.
func SetAttribute[T any](ctx context.Context, n *Namespace, name string, v T) error {
	c, err := codec.ForMessage[T]()
	if err != nil {
		return fmt.Errorf("manager: SetAttribute: %w", err)
	}

	r, err := n.begin(store.OpDictSet, name)
	if err != nil {
		return err
	}

	at := r.Open()
	b, err := encode(binary.LittleEndian.AppendUint64(r.B, c.Fingerprint()), c, &v)
	if err != nil {
		r.free()
		return err
	}
	r.B = b
	r.s.stored(b[at:])
	r.Close(at)
	return r.do(ctx, nil)
}

// Attribute returns an attribute; ok is false if there is no attribute with that name. If the
// attribute was set with a type that has a different encoding, the error is [ErrKind].
func Attribute[T any](ctx context.Context, n *Namespace, name string) (v T, ok bool, err error) {
	c, err := codec.ForMessage[T]()
	if err != nil {
		return v, false, fmt.Errorf("manager: Attribute: %w", err)
	}
	r, err := n.begin(store.OpDictGet, name)
	if err != nil {
		return v, false, err
	}

	err = r.do(ctx, func(in *store.Reader) error {
		if ok = in.Bool(); !ok {
			return nil
		}
		b := in.Bytes()
		if len(b) < attributeHead || binary.LittleEndian.Uint64(b) != c.Fingerprint() {
			return fmt.Errorf("%w: the attribute %q was set with another type than %T", ErrKind, name, v)
		}
		return decode(c, b[attributeHead:], &v)
	})

	return v, ok, err
}

func (n *Namespace) begin(op store.Op, name string) (*request, error) {
	r, err := n.p.begin(op)
	if err == nil {
		r.Bytes([]byte(name))
	}
	return r, err
}

// Delete deletes an attribute and reports whether it existed.
func (n *Namespace) Delete(ctx context.Context, name string) (was bool, err error) {
	r, err := n.begin(store.OpDictDelete, name)
	if err != nil {
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { was = in.Int() > 0; return nil })
	return was, err
}

// Names returns the names of all attributes, in the order in which the attributes were first set.
func (n *Namespace) Names(ctx context.Context) (names []string, err error) {
	for cursor := uint64(0); ; {
		r, err := n.p.begin(store.OpDictScan)
		if err != nil {
			return nil, err
		}

		r.Uint(cursor)
		r.Int(pageSize)
		count := 0
		err = r.do(ctx, func(in *store.Reader) error {
			cursor, count = in.Uint(), in.Count()
			for range count {
				names = append(names, string(in.Bytes()))
				in.Bytes()
			}
			return nil
		})
		if err != nil || count == 0 {
			return names, err
		}
	}
}

// Close ends the proxy; see [Dict.Close].
func (n *Namespace) Close() error { return n.p.close() }

// MarshalBinary encodes the proxy, not the contents.
func (n *Namespace) MarshalBinary() ([]byte, error) { return n.p.marshal() }

// UnmarshalBinary sets n to the proxy encoded in data.
func (n *Namespace) UnmarshalBinary(data []byte) (err error) {
	n.p, err = unmarshal(data, store.KindDict, namespaceShape)
	return err
}
