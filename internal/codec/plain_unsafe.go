package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// The functions in this file copy values as they are in memory. This is safe because isPlain admits
// only types that consist of numbers, for which every bit pattern is a valid value. The bytes are
// copied, or no other code uses them again. Both processes run the same architecture; the
// fingerprint includes the sizes.

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

func adoptString[T any](data []byte, v *T) bool {
	*(*string)(unsafe.Pointer(v)) = unsafe.String(unsafe.SliceData(data), len(data))
	return true
}

// A slice is encoded as its elements, followed by a byte that distinguishes nil from empty. The
// size of an element is never 0. The byte follows the elements so that they stay aligned.
const (
	sliceNil    = 0
	sliceNotNil = 1
)

// pageSize is the multiple to which Go rounds up the size of large allocations.
const pageSize = 8 << 10

func appendPlainSlice[T any](buf []byte, v *T) ([]byte, error) {
	s := (*unsafeSlice)(unsafe.Pointer(v))
	if s.data == nil {
		return append(buf, sliceNil), nil
	}
	n := s.len * int(reflect.TypeFor[T]().Elem().Size())
	if (len(buf)+n)%pageSize == 0 {
		buf = slices.Grow(buf, n+1) // otherwise append would leave no room for the last byte
	}
	buf = append(buf, unsafe.Slice((*byte)(s.data), n)...)
	return append(buf, sliceNotNil), nil
}

func decodePlainSlice[T any](data []byte, v *T) error {
	t := reflect.TypeFor[T]()
	raw, notNil, err := cutPlainSlice(t, data)

	switch {
	case err != nil:
		return err
	case !notNil:
		var none T
		*v = none
	case len(raw) == 0:
		reflect.ValueOf(v).Elem().Set(reflect.MakeSlice(t, 0, 0))
	default:
		// append does not clear the memory that it allocates. The size is a multiple of the element
		// size, so the memory is sufficiently aligned.
		setPlainSlice(v, append([]byte(nil), raw...), t.Elem())
	}
	return nil
}

// adoptPlainSlice leaves misaligned or invalid data to decodePlainSlice.
func adoptPlainSlice[T any](data []byte, v *T) bool {
	elem := reflect.TypeFor[T]().Elem()
	raw, _, err := cutPlainSlice(reflect.TypeFor[T](), data)
	if err != nil || len(raw) == 0 || uintptr(unsafe.Pointer(unsafe.SliceData(raw)))%uintptr(elem.Align()) != 0 {
		return false
	}
	setPlainSlice(v, raw, elem)
	return true
}

func cutPlainSlice(t reflect.Type, data []byte) (raw []byte, notNil bool, err error) {
	n := len(data) - 1
	if n < 0 || data[n] > sliceNotNil || n%int(t.Elem().Size()) != 0 || data[n] == sliceNil && n > 0 {
		return nil, false, fmt.Errorf("%d bytes are no %v", len(data), t)
	}
	return data[:n], data[n] == sliceNotNil, nil
}

func setPlainSlice[T any](v *T, raw []byte, elem reflect.Type) {
	n := len(raw) / int(elem.Size())
	*(*unsafeSlice)(unsafe.Pointer(v)) = unsafeSlice{unsafe.Pointer(unsafe.SliceData(raw)), n, n}
}

// unsafeSlice is the memory layout of a slice.
type unsafeSlice struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// plainBytes returns the memory of the values of a slice, and the size of one of them.
func plainBytes[T any](vs []T) (raw []byte, size int) {
	size = int(unsafe.Sizeof(vs[0]))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(vs))), len(vs)*size), size
}

// appendPlainRun is AppendRun for plain types. vs must not be empty.
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
