package codec

import (
	"bytes"
	"math"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// maxDepth bounds the nesting of a value. The library encodes recursively and
// without a bound of its own, so a cyclic value must be caught before.
const maxDepth = 10_000

// modes are built at first use: by then every init function has registered
// its types, and a worker that needs no CBOR does not pay for them.
var modes = sync.OnceValue(func() (m struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
	own cbor.DecMode // for types that write CBOR themselves
}) {
	registerBuiltin()
	enc := cbor.EncOptions{
		Time:          cbor.TimeRFC3339Nano,
		TextMarshaler: cbor.TextMarshalerTextString,
		NaNConvert:    cbor.NaNConvertNone,
		InfConvert:    cbor.InfConvertNone,
	}
	dec := cbor.DecOptions{
		MaxNestedLevels:   65535,
		MaxArrayElements:  math.MaxInt32,
		MaxMapPairs:       math.MaxInt32,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
		UTF8:              cbor.UTF8DecodeInvalid,
	}
	var err error
	if m.enc, err = enc.UserBufferEncModeWithTags(registered.tags); err != nil {
		panic(err)
	}
	if m.own, err = dec.DecModeWithTags(registered.tags); err != nil {
		panic(err)
	}
	// The library looks ahead for the end of an array of indefinite length, and again for each such array
	// inside it: a megabyte of them takes hours. Its encoder never writes one.
	dec.IndefLength = cbor.IndefLengthForbidden
	if m.dec, err = dec.DecModeWithTags(registered.tags); err != nil {
		panic(err)
	}
	return m
})

// writesCBOR reports whether values of t can contain values that write CBOR themselves, possibly of indefinite
// length.
func writesCBOR(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if t.Kind() != reflect.Pointer && both(t, cborMarshalType, cborUnmarshalType) {
		return true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return writesCBOR(t.Elem(), seen)
	case reflect.Map:
		return writesCBOR(t.Key(), seen) || writesCBOR(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if writesCBOR(f.Type, seen) {
				return true
			}
		}
	case reflect.Interface:
		for _, r := range registered.all() {
			if writesCBOR(r, seen) {
				return true
			}
		}
	}
	return false
}

func cborAppender[T any](t reflect.Type) func([]byte, *T) ([]byte, error) {
	w := walkOf(t)
	return func(buf []byte, v *T) ([]byte, error) {
		var in any = v
		if w != walkNone {
			boxed, err := box(reflect.ValueOf(v).Elem(), w)
			if err != nil {
				return buf, err
			}
			in = boxed
		}
		b := bytes.NewBuffer(buf)
		err := modes().enc.MarshalToBuffer(in, b)
		return b.Bytes(), err
	}
}

func cborDecoder[T any](t reflect.Type) func([]byte, *T) error {
	w, own := walkOf(t), writesCBOR(t, map[reflect.Type]bool{})
	return func(data []byte, v *T) error {
		dec := modes().dec
		if own {
			dec = modes().own
		}
		var fresh T
		if err := dec.Unmarshal(data, &fresh); err != nil {
			return err
		}
		if w == walkBox {
			unbox(reflect.ValueOf(&fresh).Elem())
		}
		*v = fresh
		return nil
	}
}

// AppendAny appends one of mp's own messages, which DecodeWithin decodes.
func AppendAny(buf []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(buf)
	err := modes().enc.MarshalToBuffer(v, b)
	return b.Bytes(), err
}
