package store

import (
	"encoding/binary"
	"errors"
)

// A message is a sequence of frames. A frame consists of its length in four bytes, the ID of the
// call in four bytes, and then:
//
//	in a request: the operation, the ID of the object, and the arguments
//	in an answer: whether it is an error, and the error or the results
//
// Numbers are varints. Byte strings are preceded by their length.
const (
	lengthSize = 4
	callSize   = 4
	frameHead  = lengthSize + callSize
)

var errMalformed = errors.New("manager: a request that no client of mp has written")

// A Writer appends frames to a buffer.
type Writer struct {
	B    []byte
	at   int
	most int  // maximum of len(B) while an answer is being written; 0 means no limit
	full bool // whether bytes beyond most were left out
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

// End ends the current frame.
func (w *Writer) End() {
	binary.LittleEndian.PutUint32(w.B[w.at:], uint32(len(w.B)-w.at-lengthSize))
}

// SetCall sets the call ID of the first frame of a buffer.
func SetCall(b []byte, call uint32) { binary.LittleEndian.PutUint32(b[lengthSize:], call) }

// Body returns the body of the first frame of a buffer.
func Body(b []byte) []byte {
	return b[frameHead : lengthSize+int(binary.LittleEndian.Uint32(b))]
}

// FrameSize returns the size of the first frame of a buffer.
func FrameSize(b []byte) int { return lengthSize + int(binary.LittleEndian.Uint32(b)) }

// Uint appends a number.
func (w *Writer) Uint(n uint64) { w.B = binary.AppendUvarint(w.B, n) }

// Int appends a number.
func (w *Writer) Int(n int) { w.B = binary.AppendVarint(w.B, int64(n)) }

// Bool appends a boolean.
func (w *Writer) Bool(yes bool) {
	b := byte(0)
	if yes {
		b = 1
	}
	w.B = append(w.B, b)
}

// Bytes appends a byte string.
func (w *Writer) Bytes(b []byte) {
	if w.most > 0 && len(w.B)+len(b) > w.most {
		w.full = true
		return
	}
	w.Uint(uint64(len(b)))
	w.B = append(w.B, b...)
}

// Open begins a byte string whose length is not known yet. To end the byte string, pass the result
// of Open to [Writer.Close].
func (w *Writer) Open() int {
	at := len(w.B)
	w.B = append(w.B, 0)
	return at
}

// Close ends the byte string that Open began at at. It shifts a string whose length takes more than
// one byte.
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

// A Reader reads what a [Writer] has written. Its input need not be trusted: once the input turns
// out to be malformed, the methods return zeros, and at the end Err returns an error.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a Reader that reads b.
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

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.bad, r.b = true, nil
		return false
	}
	yes := r.b[0] == 1
	r.b = r.b[1:]
	return yes
}

// Bytes reads a byte string. The result is a part of the input.
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

// Count reads the number of the items that follow, each of which takes at least a byte.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

// Rest returns everything that has not been read.
func (r *Reader) Rest() []byte {
	b := r.b
	r.b = nil
	return b
}

// More reports whether there is more to read.
func (r *Reader) More() bool { return len(r.b) > 0 }

// Err returns an error if the input was malformed or has not been read completely.
func (r *Reader) Err() error {
	if r.bad || len(r.b) > 0 {
		return errMalformed
	}
	return nil
}

// Frames calls f with the call ID and the body of each frame of a message, until f returns an
// error.
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

// NextFrame splits the first frame off a message. It returns the frame's call ID, its body, and the
// rest of the message.
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
