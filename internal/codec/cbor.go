package codec

import (
	"bytes"
	"math"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// maxDepth limits the nesting of a value, which may be cyclic.
const maxDepth = 10_000

// modes is built at first use. A worker that needs no CBOR does not pay for it.
var modes = sync.OnceValue(func() (m struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
	own cbor.DecMode // for types that write CBOR themselves
}) {
	enc := cbor.EncOptions{
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
	if m.enc, err = enc.UserBufferEncMode(); err != nil {
		panic(err)
	}
	if m.own, err = dec.DecMode(); err != nil {
		panic(err)
	}

	// The library looks ahead for the end of an array of indefinite length, and again for each such
	// array inside it, so a megabyte of such arrays takes hours. The library's encoder never writes
	// one.
	dec.IndefLength = cbor.IndefLengthForbidden
	if m.dec, err = dec.DecMode(); err != nil {
		panic(err)
	}

	return m
})

// writesCBOR reports whether values of t can contain values that write CBOR themselves, possibly of
// indefinite length.
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
	}
	return false // coders encode the values in interfaces
}

func cborAppender[T any](buf []byte, v *T) ([]byte, error) {
	return AppendAny(buf, v)
}

func cborDecoder[T any](t reflect.Type) func([]byte, *T) error {
	own := writesCBOR(t, map[reflect.Type]bool{})
	return func(data []byte, v *T) error {
		dec := modes().dec
		if own {
			dec = modes().own
		}
		var fresh T
		if err := dec.Unmarshal(data, &fresh); err != nil {
			return err
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
