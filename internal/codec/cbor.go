package codec

import (
	"bytes"
	"math"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// maxDepth bounds the nesting of a value, which may be cyclic.
const maxDepth = 10_000

// modes are built at first use: a worker that needs no CBOR does not pay for them.
var modes = sync.OnceValue(func() (m struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
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
	if m.dec, err = dec.DecMode(); err != nil {
		panic(err)
	}
	return m
})

func cborAppender[T any](buf []byte, v *T) ([]byte, error) {
	return AppendAny(buf, v)
}

func cborDecoder[T any](data []byte, v *T) error {
	var fresh T
	if err := DecodeAny(data, &fresh); err != nil {
		return err
	}
	*v = fresh
	return nil
}

// AppendAny and DecodeAny carry small values of mp's own messages.
func AppendAny(buf []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(buf)
	err := modes().enc.MarshalToBuffer(v, b)
	return b.Bytes(), err
}

// DecodeAny is the counterpart of AppendAny; v is a pointer.
func DecodeAny(data []byte, v any) error { return modes().dec.Unmarshal(data, v) }
