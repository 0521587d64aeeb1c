package insight

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
)

// Limits on the memory that workers' profiles take in this process, whatever the workers send. The
// profile of a program with 100,000 different stacks needs a tenth of these limits.
const (
	maxUnpacked = 32 << 20  // bytes of one profile, unpacked
	maxParsed   = 192 << 20 // bytes of one profile, parsed, as a meter estimates them
	maxMappings = 4096      // mappings of one profile, since some steps take time for each pair of mapping and location
	maxMerged   = 512 << 20 // bytes of all profiles together, as weightOf estimates them
)

// parse unpacks and parses a profile. It gives up when ctx ends.
func parse(ctx context.Context, packed []byte) (*profile.Profile, error) {
	data, err := unpack(ctx, packed)
	if err != nil {
		return nil, err
	}

	m := meter{left: maxParsed, mappings: maxMappings}
	if err := m.message(data, wholeProfile); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := profile.ParseUncompressed(data)
	if err != nil {
		return nil, err
	}

	return p, p.CheckValid()
}

// unpack decompresses a profile. It returns an error if the result is larger than maxUnpacked.
func unpack(ctx context.Context, packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}

	r := reader{ctx, z}
	out := make([]byte, 0, firstUnpacked)
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > maxUnpacked:
			return nil, fmt.Errorf("its %d bytes unpack to more than %d", len(packed), maxUnpacked)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case len(out) == cap(out):
			grown := make([]byte, len(out), min(2*cap(out), maxUnpacked+1))
			copy(grown, out)
			out = grown
		}
	}
}

const firstUnpacked = 256 << 10

// reader reads from r until ctx ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// meter estimates, before a profile is parsed, how much memory parsing will take: a two-byte
// message becomes a struct of a hundred bytes.
type meter struct {
	left     int
	mappings int
}

// Kinds of messages in a profile. They differ in the messages that they can contain.
const (
	wholeProfile = iota
	sample
	location
	leaf
)

// inside maps each kind of message to the kinds of the messages that it contains, by field number.
var inside = map[int]map[uint64]int{
	wholeProfile: {1: leaf, 2: sample, 3: leaf, 4: location, 5: leaf, 11: leaf},
	sample:       {3: leaf},
	location:     {4: leaf},
}

// Field numbers of a profile.
const (
	fieldMapping = 3
	fieldString  = 6
	fieldComment = 13
)

// Upper bounds on the memory that parsing takes, in bytes.
const (
	fieldCost   = 128 // of a message and the pointer to it, or of a field
	numberCost  = 16  // of a number in a list
	commentCost = 64
)

var errNoProfile = errors.New("it is not a profile")

// message subtracts the cost of a message from m.left.
func (m *meter) message(b []byte, kind int) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return errNoProfile
		}

		b = b[n:]
		field, value, rest, err := cutField(b, key)
		if err != nil {
			return err
		}
		b = rest
		if err := m.field(kind, field, value, key&7 == lengthDelimited); err != nil {
			return err
		}
	}

	return nil
}

func (m *meter) field(kind int, field uint64, value []byte, delimited bool) error {
	cost := fieldCost
	sub, isMessage := inside[kind][field]
	switch {
	case !delimited || isMessage:
	case kind == wholeProfile && field == fieldString:
		cost += len(value)
	case kind == wholeProfile && field == fieldComment:
		cost += commentCost * len(value)
	default:
		cost += numberCost * len(value)
	}

	if m.left -= cost; m.left < 0 {
		return fmt.Errorf("it would take more than %d bytes", maxParsed)
	}
	if kind == wholeProfile && field == fieldMapping {
		if m.mappings--; m.mappings < 0 {
			return fmt.Errorf("it has more than %d mappings", maxMappings)
		}
	}
	if delimited && isMessage {
		return m.message(value, sub)
	}

	return nil
}

const lengthDelimited = 2

// cutField returns the value of a field and the bytes after it.
func cutField(b []byte, key uint64) (field uint64, value, rest []byte, err error) {
	size := uint64(0)
	switch key & 7 {
	case 0:
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, nil, nil, errNoProfile
		}
		size = uint64(n)
	case 1:
		size = 8
	case lengthDelimited:
		length, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, nil, nil, errNoProfile
		}
		b, size = b[n:], length
	case 5:
		size = 4
	default:
		return 0, nil, nil, errNoProfile
	}

	if size > uint64(len(b)) {
		return 0, nil, nil, errNoProfile
	}

	return key >> 3, b[:size], b[size:], nil
}

// weightOf estimates how many bytes a profile takes, not counting the strings.
func weightOf(p *profile.Profile) int {
	n := fieldCost * (len(p.Location) + len(p.Function) + len(p.Mapping) + len(p.Comments))
	for _, l := range p.Location {
		n += fieldCost / 4 * len(l.Line)
	}
	for _, s := range p.Sample {
		n += fieldCost + numberCost*(len(s.Location)+len(s.Value)) + fieldCost*(len(s.Label)+len(s.NumLabel))
	}
	return n
}
