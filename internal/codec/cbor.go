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
	if m.dec, err = dec.DecModeWithTags(registered.tags); err != nil {
		panic(err)
	}
	return m
})

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
	w := walkOf(t)
	return func(data []byte, v *T) error {
		var fresh T
		if err := modes().dec.Unmarshal(data, &fresh); err != nil {
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
