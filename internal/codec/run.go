package codec

import (
	"encoding/binary"
	"fmt"
	"math"
)

// HeadSize is the size of the length in front of each value in a run.
const HeadSize = 4

// AppendRun appends values, each preceded by its length, until the next one does not fit into buf's
// capacity. Only the first value may exceed the capacity. AppendRun returns how many values it
// appended, and an error if the value after those cannot be encoded.
func (c *Type[T]) AppendRun(buf []byte, vs []T) (out []byte, n int, err error) {
	if c.plain && len(vs) > 0 {
		out, n = appendPlainRun(buf, vs)
		return out, n, nil
	}

	limit := cap(buf)
	for n := range vs {
		at := len(buf)
		out, err := c.AppendFramed(buf, &vs[n])
		if err != nil {
			return buf, n, err
		}

		if len(out) > limit && n > 0 {
			c.forgetFiles(out[at:])
			c.Recall(&vs[n])
			return buf[:at], n, nil
		}
		if buf = out; len(buf) >= limit {
			return buf, n + 1, nil
		}
	}
	return buf, len(vs), nil
}

// AppendFramed appends one value, preceded by its length.
func (c *Type[T]) AppendFramed(buf []byte, v *T) ([]byte, error) {
	at := len(buf)
	buf = append(buf, 0, 0, 0, 0)
	out, err := c.Append(buf, v)
	size := len(out) - at - HeadSize
	if err == nil && size > math.MaxUint32 {
		err = fmt.Errorf("%d bytes, more than %d", size, uint32(math.MaxUint32))
	}
	if err != nil {
		return buf[:at], err
	}
	binary.LittleEndian.PutUint32(out[at:], uint32(size))
	return out, nil
}

// TakeRun takes data[i] into vs[i] for each i, and calls fail for each value that cannot be
// decoded.
func (c *Type[T]) TakeRun(data [][]byte, vs []T, fail func(i int, err error)) {
	if c.plain {
		decodePlainRun(data, vs, fail)
		return
	}
	for i := range data {
		if err := c.Take(data[i], &vs[i]); err != nil {
			fail(i, err)
		}
	}
}
