package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds limit one of mp's own messages. Senders respect them and receivers check them, so that no
// honest message is rejected and a forged one costs next to nothing.
type Bounds struct {
	Bytes int // of the whole message
	Items int // values, including keys, arrays and maps
	Depth int // of nested arrays and maps
}

// DecodeWithin decodes the output of AppendAny into *v, where v is a pointer. It counts the values
// of the message before it decodes them, because the library allocates memory for each value,
// however small it is. For a message that exceeds its bounds it returns an error and leaves *v
// unchanged.
func DecodeWithin(data []byte, v any, b Bounds) error {
	if len(data) > b.Bytes {
		return fmt.Errorf("%d bytes: there may be at most %d", len(data), b.Bytes)
	}

	c := counter{left: b.Items, bounds: b}
	rest, err := c.value(data, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the end", len(rest))
	}

	if err != nil {
		return err
	}
	return modes().dec.Unmarshal(data, v)
}

var (
	errCut        = errors.New("it ends too early")
	errIndefinite = errors.New("it has a part of indefinite length")
	errTag        = errors.New("it has a tag")
)

// A counter counts the values of a message. It stops at the first value that exceeds the bound.
type counter struct {
	left   int
	bounds Bounds
}

// value skips one value at the given depth and returns the bytes after it.
func (c *counter) value(b []byte, depth int) ([]byte, error) {
	major, n, rest, err := head(b)
	if err != nil {
		return nil, err
	}
	if c.left--; c.left < 0 {
		return nil, fmt.Errorf("more than %d values", c.bounds.Items)
	}

	switch major {
	case majorBytes, majorText:
		if n > uint64(len(rest)) {
			return nil, errCut
		}
		return rest[n:], nil
	case majorArray, majorMap:
		if depth == c.bounds.Depth {
			return nil, fmt.Errorf("nested more than %d deep", c.bounds.Depth)
		}
		return c.values(rest, n, major == majorMap, depth+1)
	case majorTag:
		return nil, errTag
	}
	return rest, nil
}

// values skips the n elements of an array or pairs of a map.
func (c *counter) values(b []byte, n uint64, pairs bool, depth int) (rest []byte, err error) {
	if n > uint64(c.left) {
		return nil, fmt.Errorf("more than %d values", c.bounds.Items)
	}
	if pairs {
		n *= 2
	}
	for range n {
		if b, err = c.value(b, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// head reads the head of a value: its major type, and its number or length.
func head(b []byte) (major byte, n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errCut
	}

	major, info, rest := b[0]>>5, b[0]&31, b[1:]
	size := 0
	switch {
	case info < 24:
		return major, uint64(info), rest, nil
	case info == 31:
		return 0, 0, nil, errIndefinite
	case info > 27:
		return 0, 0, nil, fmt.Errorf("a head of % x", b[0])
	default:
		size = 1 << (info - 24)
	}

	if len(rest) < size {
		return 0, 0, nil, errCut
	}
	var wide [8]byte
	copy(wide[8-size:], rest)
	return major, binary.BigEndian.Uint64(wide[:]), rest[size:], nil
}

// FirstText returns the beginning of the text at the start of a message. That text is the value of
// key 1 of a map in which this key comes first. It is for messages that exceed their bounds.
func FirstText(data []byte) string {
	major, _, rest, err := head(data)
	if err != nil || major != majorMap || len(rest) == 0 || rest[0] != 1 {
		return ""
	}
	major, n, rest, err := head(rest[1:])
	if err != nil || major != majorText {
		return ""
	}
	return string(rest[:min(n, uint64(len(rest)), firstText)])
}

const firstText = 1 << 10
