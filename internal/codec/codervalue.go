package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"reflect"
)

func appendBoolValue(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	if v.Bool() {
		return append(buf, yes), nil
	}
	return append(buf, no), nil
}

func decodeBoolValue(r *reader, v reflect.Value) error {
	if len(r.data) == 0 {
		return errCut
	}
	b := r.data[0]
	if b != yes && b != no {
		return fmt.Errorf("%#x is no bool", b)
	}
	v.SetBool(b == yes)
	r.data = r.data[1:]
	return nil
}

func appendIntValue(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	return appendInt(buf, v.Int()), nil
}

func decodeIntValue(r *reader, v reflect.Value) error {
	n, err := r.int()
	if err == nil && v.OverflowInt(n) {
		err = fmt.Errorf("%d is no %v", n, v.Type())
	}
	if err == nil {
		v.SetInt(n)
	}
	return err
}

func appendUintValue(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	return appendHead(buf, majorUint, v.Uint()), nil
}

func decodeUintValue(r *reader, v reflect.Value) error {
	n, err := r.expect(majorUint)
	if err == nil && v.OverflowUint(n) {
		err = fmt.Errorf("%d is no %v", n, v.Type())
	}
	if err == nil {
		v.SetUint(n)
	}
	return err
}

var float32Type = reflect.TypeFor[float32]()

// appendFloat32Value encodes a float32. For a NaN it does not use Float, whose conversion to
// float64 changes the bits of some NaNs. decodeFloat32Value avoids SetFloat for the same reason.
func appendFloat32Value(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	f := float32(v.Float())
	if f != f {
		f = v.Convert(float32Type).Interface().(float32)
	}
	return binary.BigEndian.AppendUint32(append(buf, float32Head), math.Float32bits(f)), nil
}

func decodeFloat32Value(r *reader, v reflect.Value) error {
	bits, err := r.float(float32Head, 4)
	if err != nil {
		return err
	}
	f := math.Float32frombits(uint32(bits))
	if f == f {
		v.SetFloat(float64(f))
		return nil
	}
	v.Set(reflect.ValueOf(f).Convert(v.Type()))
	return nil
}

func appendFloat64Value(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	return binary.BigEndian.AppendUint64(append(buf, float64Head), math.Float64bits(v.Float())), nil
}

func decodeFloat64Value(r *reader, v reflect.Value) error {
	bits, err := r.float(float64Head, 8)
	if err == nil {
		v.SetFloat(math.Float64frombits(bits))
	}
	return err
}

func appendText(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	s := v.String()
	return append(appendHead(buf, majorText, uint64(len(s))), s...), nil
}

func decodeText(r *reader, v reflect.Value) error {
	s, err := r.string(majorText)
	if err == nil {
		v.SetString(string(s))
	}
	return err
}

// appendFileIndex encodes only where a file is in the value. The file itself travels before the
// value.
func appendFileIndex(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	if v.IsNil() {
		return append(buf, null), nil
	}
	return appendHead(buf, majorArray, 0), nil
}

func decodeFileIndex(r *reader, v reflect.Value) error {
	if r.null() {
		return nil
	}
	err := r.count(majorArray, 0)
	if err == nil {
		v.Set(reflect.ValueOf(new(os.File)))
	}
	return err
}
