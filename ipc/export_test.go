package ipc

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/xsync"
)

// PutRaw puts bytes that no Put has encoded, as a corrupt process might.
func (q *Queue[T]) PutRaw(b []byte) error {
	p := q.in.spillWriter()
	p.ctx = context.Background()
	return p.sent(q.in.ring.Put(context.Background(), b, p.put, p.drop))
}

// SendRaw is PutRaw for a connection.
func (c *Conn[T]) SendRaw(b []byte) error { return c.in.send(context.Background(), b) }

// GetRaw takes an element, and returns its bytes without decoding them.
func (q *Queue[T]) GetRaw() ([]byte, error) {
	rec, err := q.in.ring.TryGet(nil)
	return rec.Bytes, err
}

// SetLongRead changes how long a consumer has to read an element if too many are unreleased.
func SetLongRead(d time.Duration) (back func()) {
	before := longRead
	longRead = d
	return func() { longRead = before }
}

// ForgeElements writes elements that lie outside of the queue into its memory, as a corrupt process might: all of
// them in the segment with a number.
func (q *Queue[T]) ForgeElements(n int, segment uint64, size int) {
	mem := q.in.obj.Bytes()
	for range n {
		xsync.PutElsewhere(mem[:xsync.RingSize], mem[xsync.RingSize:], segment, uint64(size))
	}
}

// ForgeMessages is ForgeElements for messages that the second end of a pipe sends.
func (c *Conn[T]) ForgeMessages(n int, segment uint64, size int) {
	head, data := xsync.PipeRing(c.in.line.(*pipeEnd).mem.Bytes(), 1)
	for range n {
		xsync.PutElsewhere(head, data, segment, uint64(size))
	}
}

// SetReadOn changes how long a message that has been taken is still read once a context has ended.
func SetReadOn(d time.Duration) (back func()) {
	before := readOn
	readOn = d
	return func() { readOn = before }
}
