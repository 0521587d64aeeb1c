package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
)

// The major types of CBOR, and some of its simple values.
const (
	majorUint     = 0
	majorNegative = 1
	majorBytes    = 2
	majorText     = 3
	majorArray    = 4
	majorMap      = 5
	majorTag      = 6

	no          = 0xf4
	yes         = 0xf5
	null        = 0xf6
	float32Head = 0xfa
	float64Head = 0xfb
)

func appendHead(buf []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(buf, major|byte(n))
	case n <= math.MaxUint8:
		return append(buf, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(buf, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(buf, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(buf, major|27), n)
}

func appendInt(buf []byte, n int64) []byte {
	if n < 0 {
		return appendHead(buf, majorNegative, uint64(^n))
	}
	return appendHead(buf, majorUint, uint64(n))
}

// A reader reads the output of coders, or what another process claims is such output.
type reader struct {
	data  []byte
	depth int
}

// into calls c to decode into v, one level deeper.
func (r *reader) into(c *coder, v reflect.Value) error {
	if r.depth++; r.depth > maxDepth+1 {
		return errTooDeep
	}
	err := c.decode(r, v)
	r.depth--
	return err
}

// head reads the head of an item.
func (r *reader) head() (major byte, n uint64, err error) {
	major, n, rest, err := head(r.data)
	if err == nil {
		r.data = rest
	}
	return major, n, err
}

func (r *reader) expect(want byte) (uint64, error) {
	major, n, err := r.head()
	if err == nil && major != want {
		err = fmt.Errorf("an item of major type %d, not %d", major, want)
	}
	return n, err
}

// count reads the head of an array that must have n elements.
func (r *reader) count(major byte, n uint64) error {
	got, err := r.expect(major)
	if err == nil && got != n {
		err = fmt.Errorf("%d items, not %d", got, n)
	}
	return err
}

// length reads the head of an item whose elements take at least size bytes each.
func (r *reader) length(major byte, size int) (int, error) {
	n, err := r.expect(major)
	if err == nil && n > uint64(len(r.data)/size) {
		err = errCut
	}
	return int(n), err
}

// string returns the content of a string, which is a part of the reader's data.
func (r *reader) string(major byte) ([]byte, error) {
	n, err := r.length(major, 1)
	if err != nil {
		return nil, err
	}
	s := r.data[:n:n]
	r.data = r.data[n:]
	return s, nil
}

// null skips a null, and reports whether there was one.
func (r *reader) null() bool {
	if len(r.data) == 0 || r.data[0] != null {
		return false
	}
	r.data = r.data[1:]
	return true
}

func (r *reader) int() (int64, error) {
	major, n, err := r.head()
	switch {
	case err != nil:
		return 0, err
	case major > majorNegative || n > math.MaxInt64:
		return 0, fmt.Errorf("an item of major type %d and value %d is no integer", major, n)
	case major == majorNegative:
		return ^int64(n), nil
	}
	return int64(n), nil
}

// float reads a float of size bytes.
func (r *reader) float(head byte, size int) (bits uint64, err error) {
	if len(r.data) <= size {
		return 0, errCut
	}
	if r.data[0] != head {
		return 0, fmt.Errorf("%#x begins no float of %d bytes", r.data[0], size)
	}
	for _, b := range r.data[1 : 1+size] {
		bits = bits<<8 | uint64(b)
	}
	r.data = r.data[1+size:]
	return bits, nil
}
