package objects

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Token represents an object in a message.
type Token struct {
	Segment uint64 // a random number
	Offset  uint32
	Gen     uint32
	Size    uint64
	Kind    xsync.Kind
	Owned   bool // by the sender; if it is in a result, the receiver becomes the owner
}

// KindOf returns the kind that an encoded token claims.
func KindOf(token []byte) xsync.Kind { return xsync.Kind(token[kindAt]) }

const kindAt = 24

// TokenSize is the length of an encoded Token.
const TokenSize = 28

// Append appends the token's encoding to b.
func (t Token) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, t.Segment)
	b = binary.LittleEndian.AppendUint32(b, t.Offset)
	b = binary.LittleEndian.AppendUint32(b, t.Gen)
	b = binary.LittleEndian.AppendUint64(b, t.Size)
	flags := byte(0)
	if t.Owned {
		flags |= 1
	}
	return append(b, byte(t.Kind), flags, 0, 0)
}

var errNoToken = errors.New("no handle of a shared object")

// ParseToken parses the token at the beginning of b, which must have the given kind. It returns the
// rest of b.
func ParseToken(b []byte, kind xsync.Kind) (t Token, rest []byte, err error) {
	if len(b) < TokenSize {
		return t, b, errNoToken
	}
	t = Token{
		Segment: binary.LittleEndian.Uint64(b),
		Offset:  binary.LittleEndian.Uint32(b[8:]),
		Gen:     binary.LittleEndian.Uint32(b[12:]),
		Size:    binary.LittleEndian.Uint64(b[16:]),
		Kind:    KindOf(b),
		Owned:   b[25]&1 != 0,
	}

	if t.Kind != kind {
		return t, b, fmt.Errorf("%w of this type", errNoToken)
	}
	return t, b[TokenSize:], nil
}
