package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"unsafe"
)

// The functions here copy values as they lie in memory. What makes that safe:
// isPlain admits only types made of numbers, for which every bit pattern is a
// valid value, and the bytes are copied, never aliased. Both processes run the
// same architecture; the fingerprint holds the sizes.

func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

func appendPlain[T any](buf []byte, v *T) ([]byte, error) {
	return append(buf, bytesOf(v)...), nil
}

func decodePlain[T any](data []byte, v *T) error {
	if len(data) != int(unsafe.Sizeof(*v)) {
		return fmt.Errorf("%d bytes for a %T of %d", len(data), *v, unsafe.Sizeof(*v))
	}
	copy(bytesOf(v), data)
	return nil
}

func appendBool[T any](buf []byte, v *T) ([]byte, error) {
	return append(buf, bytesOf(v)...), nil
}

func decodeBool[T any](data []byte, v *T) error {
	if len(data) != 1 || data[0] > 1 {
		return fmt.Errorf("% x is no bool", data)
	}
	*(*bool)(unsafe.Pointer(v)) = data[0] == 1
	return nil
}

func appendString[T any](buf []byte, v *T) ([]byte, error) {
	return append(buf, *(*string)(unsafe.Pointer(v))...), nil
}

func decodeString[T any](data []byte, v *T) error {
	*(*string)(unsafe.Pointer(v)) = string(data)
	return nil
}

// A slice is one byte that tells nil from empty, then its elements, which have
// a size.
const (
	sliceNil    = 0
	sliceNotNil = 1
)

func appendPlainSlice[T any](buf []byte, v *T) ([]byte, error) {
	s := (*unsafeSlice)(unsafe.Pointer(v))
	if s.data == nil {
		return append(buf, sliceNil), nil
	}
	size := int(reflect.TypeFor[T]().Elem().Size())
	buf = append(buf, sliceNotNil)
	return append(buf, unsafe.Slice((*byte)(s.data), s.len*size)...), nil
}

func decodePlainSlice[T any](data []byte, v *T) error {
	t := reflect.TypeFor[T]()
	size := int(t.Elem().Size())
	if len(data) == 0 || data[0] > sliceNotNil || (len(data)-1)%size != 0 {
		return fmt.Errorf("%d bytes are no %v", len(data), t)
	}
	if data[0] == sliceNil {
		var none T
		*v = none
		return nil
	}
	n := (len(data) - 1) / size
	if n == 0 {
		reflect.ValueOf(v).Elem().Set(reflect.MakeSlice(t, 0, 0))
		return nil
	}
	// What append allocates is not cleared first, and its size, a multiple of the
	// elements', makes it as aligned as they need be.
	raw := append([]byte(nil), data[1:]...)
	*(*unsafeSlice)(unsafe.Pointer(v)) = unsafeSlice{unsafe.Pointer(unsafe.SliceData(raw)), n, n}
	return nil
}

// unsafeSlice is the layout of every slice.
type unsafeSlice struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// plainBytes are the values of a slice as they lie in memory.
func plainBytes[T any](vs []T) (raw []byte, size int) {
	size = int(unsafe.Sizeof(vs[0]))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(vs))), len(vs)*size), size
}

// appendPlainRun is AppendRun for plain types, of which there is at least one.
func appendPlainRun[T any](buf []byte, vs []T) ([]byte, int) {
	raw, size := plainBytes(vs)
	n := min(len(vs), max(1, (cap(buf)-len(buf))/(HeadSize+size)))
	if size == 8 {
		for i := range n {
			buf = binary.LittleEndian.AppendUint32(buf, 8)
			buf = binary.LittleEndian.AppendUint64(buf, binary.LittleEndian.Uint64(raw[i*8:]))
		}
		return buf, n
	}
	for i := range n {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(size))
		buf = append(buf, raw[i*size:(i+1)*size]...)
	}
	return buf, n
}

func decodePlainRun[T any](data [][]byte, vs []T, fail func(int, error)) {
	raw, size := plainBytes(vs)
	for i, d := range data {
		switch {
		case len(d) != size:
			fail(i, fmt.Errorf("%d bytes for a %T of %d", len(d), vs[i], size))
		case size == 8:
			binary.LittleEndian.PutUint64(raw[i*8:], binary.LittleEndian.Uint64(d))
		default:
			copy(raw[i*size:], d)
		}
	}
}
