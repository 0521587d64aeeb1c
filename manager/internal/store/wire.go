package store

import (
	"encoding/binary"
	"errors"
)

// A message is one frame after the other. A frame is its length, in four bytes, the number
// of the call, in four, and
//
//	in a request: the operation, the number of the object, and the arguments
//	in an answer: whether it is an error, and that or the results
//
// Numbers are varints, bytes have their length in front.
const (
	lengthSize = 4
	callSize   = 4
	frameHead  = lengthSize + callSize
)

var errMalformed = errors.New("manager: a request that no client of mp has written")

// A Writer appends a frame to a buffer.
type Writer struct {
	B    []byte
	at   int
	most int  // maximum of len(B) while an answer is written; 0 means no limit
	full bool // bytes beyond most were left out
}

// Begin begins the request of a call; [Writer.End] ends it.
func (w *Writer) Begin(call uint32, op Op, object uint64) {
	w.begin(call)
	w.B = append(w.B, byte(op))
	w.Uint(object)
}

func (w *Writer) begin(call uint32) {
	w.at = len(w.B)
	w.B = append(w.B, 0, 0, 0, 0)
	w.B = binary.LittleEndian.AppendUint32(w.B, call)
}

// End ends the frame that was begun last.
func (w *Writer) End() {
	binary.LittleEndian.PutUint32(w.B[w.at:], uint32(len(w.B)-w.at-lengthSize))
}

// SetCall gives the first frame of a buffer the number of a call.
func SetCall(b []byte, call uint32) { binary.LittleEndian.PutUint32(b[lengthSize:], call) }

// Body is what the first frame of a buffer says.
func Body(b []byte) []byte {
	return b[frameHead : lengthSize+int(binary.LittleEndian.Uint32(b))]
}

// FrameSize is how many bytes the first frame of a buffer has.
func FrameSize(b []byte) int { return lengthSize + int(binary.LittleEndian.Uint32(b)) }

// Uint appends a number.
func (w *Writer) Uint(n uint64) { w.B = binary.AppendUvarint(w.B, n) }

// Int appends a number.
func (w *Writer) Int(n int) { w.B = binary.AppendVarint(w.B, int64(n)) }

// Bool appends a truth.
func (w *Writer) Bool(yes bool) {
	b := byte(0)
	if yes {
		b = 1
	}
	w.B = append(w.B, b)
}

// Bytes appends bytes.
func (w *Writer) Bytes(b []byte) {
	if w.most > 0 && len(w.B)+len(b) > w.most {
		w.full = true
		return
	}
	w.Uint(uint64(len(b)))
	w.B = append(w.B, b...)
}

// Open begins bytes whose length is not known yet; [Writer.Close] ends them, given what Open
// returned.
func (w *Writer) Open() int {
	at := len(w.B)
	w.B = append(w.B, 0)
	return at
}

// Close ends what Open began at a place: if it is not short, it makes room for its length.
func (w *Writer) Close(at int) {
	n := uint64(len(w.B) - at - 1)
	if n < 0x80 {
		w.B[at] = byte(n)
		return
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], n)
	w.B = append(w.B, length[:size-1]...)
	copy(w.B[at+size:], w.B[at+1:])
	copy(w.B[at:], length[:size])
}

// A Reader takes what a [Writer] has written apart, which anybody may have written. It says at
// the end whether something was wrong; until then it reads zeros.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader reads b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Uint reads a number.
func (r *Reader) Uint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // most numbers are small
		n := r.b[0]
		r.b = r.b[1:]
		return uint64(n)
	}
	return r.long()
}

// long reads a number of several bytes.
func (r *Reader) long() uint64 {
	n, size := binary.Uvarint(r.b)
	return r.number(n, size)
}

func (r *Reader) number(n uint64, size int) uint64 {
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// Int reads a number.
func (r *Reader) Int() int {
	n, size := binary.Varint(r.b)
	return int(r.number(uint64(n), size))
}

// Bool reads a truth.
func (r *Reader) Bool() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.bad, r.b = true, nil
		return false
	}
	yes := r.b[0] == 1
	r.b = r.b[1:]
	return yes
}

// Bytes reads bytes, which are part of what is read.
func (r *Reader) Bytes() []byte {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Count reads how many things follow, each of which takes a byte at least.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

// Rest is what has not been read.
func (r *Reader) Rest() []byte {
	b := r.b
	r.b = nil
	return b
}

// More reports whether something has not been read.
func (r *Reader) More() bool { return len(r.b) > 0 }

// Err says whether something was wrong, or is left.
func (r *Reader) Err() error {
	if r.bad || len(r.b) > 0 {
		return errMalformed
	}
	return nil
}

// Frames calls f for each frame of a message with the number of its call and what it says, until f
// returns an error.
func Frames(message []byte, f func(call uint32, body []byte) error) error {
	for len(message) > 0 {
		call, body, rest, err := NextFrame(message)
		if err == nil {
			err = f(call, body)
		}
		if err != nil {
			return err
		}
		message = rest
	}
	return nil
}

// NextFrame splits the first frame off a message. It returns the number of its call, its body, and the rest of
// the message.
func NextFrame(message []byte) (call uint32, body, rest []byte, err error) {
	if len(message) < frameHead {
		return 0, nil, nil, errMalformed
	}
	n := int(binary.LittleEndian.Uint32(message))
	if n < callSize || n > len(message)-lengthSize {
		return 0, nil, nil, errMalformed
	}
	frame := message[lengthSize : lengthSize+n]
	return binary.LittleEndian.Uint32(frame), frame[callSize:], message[lengthSize+n:], nil
}
