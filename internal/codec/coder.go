package codec

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// The CBOR library loses parts of some Go values: the zone of a time, the type of a number in an
// interface, the difference between a nil pointer and a pointer to nil. It also loops forever on
// cyclic values. Coders therefore encode all types whose values can contain any of these. Their
// output is well-formed CBOR too, but a struct is encoded as the array of its fields, and the value
// in an interface carries the tag of its type.

// A coder encodes and decodes values of one type. decode needs a settable zero value.
type coder struct {
	append func(buf []byte, v reflect.Value, depth int) ([]byte, error)
	decode func(r *reader, v reflect.Value) error
}

var errTooDeep = errors.New("the value is cyclic or nested more than 10,000 deep")

var ownCodings sync.Map // of reflect.Type to bool

// needsCoder reports whether the CBOR library would lose parts of some values of t.
func needsCoder(t reflect.Type) bool {
	if yes, ok := ownCodings.Load(t); ok {
		return yes.(bool)
	}
	yes := searchLoss(t, map[reflect.Type]bool{})
	ownCodings.Store(t, yes)
	return yes
}

func searchLoss(t reflect.Type, above map[reflect.Type]bool) bool {
	switch {
	case above[t]: // values may be cyclic
		return true
	case t == timeType || isHandle(t):
		return true
	case t == fileType || hasOwnForm(t):
		return false
	}

	above[t] = true
	defer delete(above, t)

	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer:
		return canBeNull(t.Elem()) || searchLoss(t.Elem(), above)
	case reflect.Slice, reflect.Array:
		return searchLoss(t.Elem(), above)
	case reflect.Map:
		return isCompound(t.Key()) || searchLoss(t.Key(), above) || searchLoss(t.Elem(), above)
	case reflect.Struct:
		for f := range t.Fields() {
			if searchLoss(f.Type, above) {
				return true
			}
		}
	}
	return false
}

// isCompound reports whether t is a struct or an array without a form of its own.
func isCompound(t reflect.Type) bool {
	return (t.Kind() == reflect.Struct || t.Kind() == reflect.Array) && !hasOwnForm(t)
}

// canBeNull reports whether some values of t are encoded as null.
func canBeNull(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface:
		return true
	case reflect.Slice, reflect.Map:
		return !hasOwnForm(t)
	}
	return false
}

func coderAppender[T any](t reflect.Type) func([]byte, *T) ([]byte, error) {
	c := coderOf(t)
	return func(buf []byte, v *T) ([]byte, error) { return c.append(buf, reflect.ValueOf(v).Elem(), 0) }
}

func coderDecoder[T any](t reflect.Type) func([]byte, *T) error {
	c := coderOf(t)
	return func(data []byte, v *T) error {
		var fresh T
		r := reader{data: data}
		if err := c.decode(&r, reflect.ValueOf(&fresh).Elem()); err != nil {
			return err
		}
		if len(r.data) > 0 {
			return fmt.Errorf("%d bytes behind the value", len(r.data))
		}
		*v = fresh
		return nil
	}
}

var coders sync.Map // of reflect.Type to *coder

func coderOf(t reflect.Type) *coder {
	if c, ok := coders.Load(t); ok {
		return c.(*coder)
	}
	b := builder{}
	c := b.coder(t)
	for t, c := range b {
		coders.Store(t, c)
	}
	return c
}

// A builder creates the coders of types that may contain each other.
type builder map[reflect.Type]*coder

func (b builder) coder(t reflect.Type) *coder {
	if c, ok := b[t]; ok {
		return c
	}
	if c, ok := coders.Load(t); ok {
		return c.(*coder)
	}
	c := new(coder)
	b[t] = c // before it is complete, because t may contain itself
	c.append, c.decode = b.make(t)
	return c
}

type (
	appendFunc = func(buf []byte, v reflect.Value, depth int) ([]byte, error)
	decodeFunc = func(r *reader, v reflect.Value) error
)

func (b builder) make(t reflect.Type) (appendFunc, decodeFunc) {
	switch {
	case t == timeType:
		return appendTimeValue, decodeTimeValue
	case t == filePointer:
		return appendFileIndex, decodeFileIndex
	case hasOwnForm(t):
		return ownForm(t)
	}

	switch t.Kind() {
	case reflect.Bool:
		return appendBoolValue, decodeBoolValue
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return appendIntValue, decodeIntValue
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendUintValue, decodeUintValue
	case reflect.Float32:
		return appendFloat32Value, decodeFloat32Value
	case reflect.Float64:
		return appendFloat64Value, decodeFloat64Value
	case reflect.String:
		return appendText, decodeText
	case reflect.Pointer:
		return b.pointer(t)
	case reflect.Slice:
		return b.slice(t)
	case reflect.Array:
		return b.array(t)
	case reflect.Map:
		return b.dict(t)
	case reflect.Struct:
		return b.fields(t)
	case reflect.Interface:
		return appendDynamic, decodeDynamic
	}

	err := fmt.Errorf("a %v cannot travel", t) // check rejects such types before
	return func(buf []byte, _ reflect.Value, _ int) ([]byte, error) { return buf, err }, func(*reader, reflect.Value) error { return err }
}

// ownForm encodes a value's own form as a byte string.
func ownForm(t reflect.Type) (appendFunc, decodeFunc) {
	marshal := func(p any) ([]byte, error) { return p.(encoding.TextMarshaler).MarshalText() }
	unmarshal := func(p any, data []byte) error { return p.(encoding.TextUnmarshaler).UnmarshalText(data) }

	switch {
	case both(t, cborMarshalType, cborUnmarshalType):
		marshal = func(p any) ([]byte, error) { return p.(cbor.Marshaler).MarshalCBOR() }
		unmarshal = func(p any, data []byte) error { return p.(cbor.Unmarshaler).UnmarshalCBOR(data) }
	case both(t, binaryMarshalType, binaryUnmarshalType):
		marshal = func(p any) ([]byte, error) { return p.(encoding.BinaryMarshaler).MarshalBinary() }
		unmarshal = func(p any, data []byte) error { return p.(encoding.BinaryUnmarshaler).UnmarshalBinary(data) }
	case both(t, binaryAppenderType, binaryUnmarshalType):
		marshal = func(p any) ([]byte, error) { return p.(encoding.BinaryAppender).AppendBinary(nil) }
		unmarshal = func(p any, data []byte) error { return p.(encoding.BinaryUnmarshaler).UnmarshalBinary(data) }
	}

	return func(buf []byte, v reflect.Value, _ int) ([]byte, error) {
			data, err := marshal(pointerTo(v))
			if err != nil {
				return buf, err
			}
			return append(appendHead(buf, majorBytes, uint64(len(data))), data...), nil
		}, func(r *reader, v reflect.Value) error {
			data, err := r.string(majorBytes)
			if err != nil {
				return err
			}
			return unmarshal(v.Addr().Interface(), data)
		}
}

// pointerTo returns a pointer to v or to a copy of it, since methods may have pointer receivers.
func pointerTo(v reflect.Value) any {
	if v.CanAddr() {
		return v.Addr().Interface()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Interface()
}

func (b builder) pointer(t reflect.Type) (appendFunc, decodeFunc) {
	elem := b.coder(t.Elem())
	wrap := canBeNull(t.Elem()) // a pointer to nil is an array of a null: a nil pointer is null
	handle := isHandle(t.Elem())

	return func(buf []byte, v reflect.Value, depth int) ([]byte, error) {
			switch {
			case depth > maxDepth:
				return buf, errTooDeep
			case v.IsNil():
				return append(buf, null), nil
			case wrap:
				buf = appendHead(buf, majorArray, 1)
			}
			return elem.append(buf, v.Elem(), depth+1)
		}, func(r *reader, v reflect.Value) error {
			if r.null() {
				return nil
			}
			if wrap {
				if err := r.count(majorArray, 1); err != nil {
					return err
				}
			}

			p := reflect.New(t.Elem())
			if err := r.into(elem, p.Elem()); err != nil {
				return err
			}
			if handle {
				return setCanonical(v, p)
			}
			v.Set(p.Convert(t))
			return nil
		}
}

// setCanonical sets v to this process's pointer for the object that *p represents.
func setCanonical(v, p reflect.Value) error {
	h := objects.HandleOf(p.Interface())
	if h == nil {
		return fmt.Errorf("a %v that nobody has made", p.Type().Elem())
	}
	v.Set(reflect.ValueOf(h.Canonical()).Convert(v.Type()))
	return nil
}

func (b builder) fields(t reflect.Type) (appendFunc, decodeFunc) {
	var index []int
	var coders []*coder
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" && (f.IsExported() || f.Anonymous) {
			index, coders = append(index, i), append(coders, b.coder(f.Type))
		}
	}
	n := uint64(len(index))

	return func(buf []byte, v reflect.Value, depth int) (_ []byte, err error) {
			if depth > maxDepth {
				return buf, errTooDeep
			}

			buf = appendHead(buf, majorArray, n)
			for i, c := range coders {
				if buf, err = c.append(buf, v.Field(index[i]), depth+1); err != nil {
					return buf, err
				}
			}
			return buf, nil
		}, func(r *reader, v reflect.Value) error {
			if err := r.count(majorArray, n); err != nil {
				return err
			}
			for i, c := range coders {
				if err := r.into(c, v.Field(index[i])); err != nil {
					return err
				}
			}
			return nil
		}
}
