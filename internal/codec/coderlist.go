package codec

import (
	"fmt"
	"reflect"
)

// firstElements is for how many elements memory is allocated on the strength of a claimed length.
// Memory for further elements is allocated as they are decoded.
const firstElements = 64

func (b builder) slice(t reflect.Type) (appendFunc, decodeFunc) {
	if t.Elem().Kind() == reflect.Uint8 && !hasOwnForm(t.Elem()) {
		return appendOctets, decodeOctets
	}
	elem := b.coder(t.Elem())

	return func(buf []byte, v reflect.Value, depth int) ([]byte, error) {
			if v.IsNil() {
				return append(buf, null), nil
			}
			return appendElements(buf, elem, v, depth)
		}, func(r *reader, v reflect.Value) error {
			if r.null() {
				return nil
			}
			n, err := r.length(majorArray, 1)
			if err != nil {
				return err
			}

			v.Set(reflect.MakeSlice(t, 0, min(n, firstElements)))
			for i := range n {
				if v.Len() == v.Cap() {
					v.Grow(1)
				}
				v.SetLen(i + 1)
				if err := r.into(elem, v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
}

func (b builder) array(t reflect.Type) (appendFunc, decodeFunc) {
	if t.Elem().Kind() == reflect.Uint8 && !hasOwnForm(t.Elem()) {
		return appendOctetArray, decodeOctetArray
	}
	elem := b.coder(t.Elem())

	return func(buf []byte, v reflect.Value, depth int) ([]byte, error) {
			return appendElements(buf, elem, v, depth)
		}, func(r *reader, v reflect.Value) error {
			if err := r.count(majorArray, uint64(v.Len())); err != nil {
				return err
			}
			for i := range v.Len() {
				if err := r.into(elem, v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
}

func appendElements(buf []byte, elem *coder, v reflect.Value, depth int) (_ []byte, err error) {
	if depth > maxDepth {
		return buf, errTooDeep
	}
	buf = appendHead(buf, majorArray, uint64(v.Len()))
	for i := range v.Len() {
		if buf, err = elem.append(buf, v.Index(i), depth+1); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

func appendOctets(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	if v.IsNil() {
		return append(buf, null), nil
	}
	return append(appendHead(buf, majorBytes, uint64(v.Len())), v.Bytes()...), nil
}

func decodeOctets(r *reader, v reflect.Value) error {
	if r.null() {
		return nil
	}
	data, err := r.string(majorBytes)
	if err != nil {
		return err
	}
	v.SetBytes(append(make([]byte, 0, len(data)), data...))
	return nil
}

func appendOctetArray(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	buf = appendHead(buf, majorBytes, uint64(v.Len()))
	if v.CanAddr() {
		return append(buf, v.Bytes()...), nil
	}
	for i := range v.Len() {
		buf = append(buf, byte(v.Index(i).Uint()))
	}
	return buf, nil
}

func decodeOctetArray(r *reader, v reflect.Value) error {
	data, err := r.string(majorBytes)
	if err == nil && len(data) != v.Len() {
		err = fmt.Errorf("%d bytes for a %v", len(data), v.Type())
	}
	if err == nil {
		copy(v.Bytes(), data)
	}
	return err
}

func (b builder) dict(t reflect.Type) (appendFunc, decodeFunc) {
	key, elem := b.coder(t.Key()), b.coder(t.Elem())
	dynamic := holdsInterface(t.Key())

	return func(buf []byte, v reflect.Value, depth int) (_ []byte, err error) {
			switch {
			case depth > maxDepth:
				return buf, errTooDeep
			case v.IsNil():
				return append(buf, null), nil
			}

			buf = appendHead(buf, majorMap, uint64(v.Len()))
			for it := v.MapRange(); it.Next(); {
				if dynamic && holdsPointer(it.Key()) {
					return buf, fmt.Errorf("a pointer in a key of a %v, which would arrive as another", t)
				}
				if buf, err = key.append(buf, it.Key(), depth+1); err != nil {
					return buf, err
				}
				if buf, err = elem.append(buf, it.Value(), depth+1); err != nil {
					return buf, err
				}
			}
			return buf, nil
		}, func(r *reader, v reflect.Value) error {
			if r.null() {
				return nil
			}
			n, err := r.length(majorMap, 2)
			if err != nil {
				return err
			}

			v.Set(reflect.MakeMapWithSize(t, min(n, firstElements)))
			for range n {
				if err := decodeEntry(r, v, key, elem); err != nil {
					return err
				}
			}
			if v.Len() != n {
				return fmt.Errorf("%d keys of a %v arrive as %d", n, t, v.Len())
			}
			return nil
		}
}

func decodeEntry(r *reader, m reflect.Value, key, elem *coder) error {
	k, e := reflect.New(m.Type().Key()).Elem(), reflect.New(m.Type().Elem()).Elem()
	if err := r.into(key, k); err != nil {
		return err
	}
	if !k.Comparable() {
		return fmt.Errorf("a key of a %v that cannot be compared", m.Type())
	}
	if err := r.into(elem, e); err != nil {
		return err
	}
	m.SetMapIndex(k, e)
	return nil
}

func holdsInterface(t reflect.Type) bool {
	return search(t, map[reflect.Type]bool{}, func(t reflect.Type) bool { return t.Kind() == reflect.Interface })
}

// holdsPointer reports whether a key contains a pointer. Keys are not cyclic.
func holdsPointer(v reflect.Value) bool {
	if hasOwnForm(v.Type()) {
		return false
	}

	switch v.Kind() {
	case reflect.Pointer:
		return true
	case reflect.Interface:
		return !v.IsNil() && holdsPointer(v.Elem())
	case reflect.Array:
		for i := range v.Len() {
			if holdsPointer(v.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if holdsPointer(v.Field(i)) {
				return true
			}
		}
	}
	return false
}
