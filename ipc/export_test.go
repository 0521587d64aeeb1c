package ipc

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/xsync"
)

// PutRaw puts an element that consists of b, which no Put has encoded, as a corrupt process might.
func (q *Queue[T]) PutRaw(b []byte) error {
	p := q.in.spillWriter()
	p.ctx = context.Background()
	return p.sent(q.in.ring.Put(context.Background(), b, p.put, p.drop))
}

// SendRaw sends a message that consists of b, as a corrupt process might.
func (c *Conn[T]) SendRaw(b []byte) error { return c.in.send(context.Background(), b) }

// GetRaw takes an element and returns its bytes without decoding them.
func (q *Queue[T]) GetRaw() ([]byte, error) {
	rec, err := q.in.ring.TryGet(nil)
	return rec.Bytes, err
}

// SetLongRead sets longRead until back is called.
func SetLongRead(d time.Duration) (back func()) {
	before := longRead
	longRead = d
	return func() { longRead = before }
}

// ForgeElements writes n elements into the queue's memory, as a corrupt process might. All of them
// refer to the same bytes in the given segment.
func (q *Queue[T]) ForgeElements(n int, segment uint64, size int) {
	mem := q.in.obj.Bytes()
	for range n {
		xsync.PutElsewhere(mem[:xsync.RingSize], mem[xsync.RingSize:], segment, uint64(size))
	}
}

// ForgeMessages writes n messages of the same kind into a pipe, as if the pipe's second end had
// sent them.
func (c *Conn[T]) ForgeMessages(n int, segment uint64, size int) {
	head, data := xsync.PipeRing(c.in.line.(*pipeEnd).mem.Bytes(), 1)
	for range n {
		xsync.PutElsewhere(head, data, segment, uint64(size))
	}
}

// SetReadOn sets readOn until back is called.
func SetReadOn(d time.Duration) (back func()) {
	before := readOn
	readOn = d
	return func() { readOn = before }
}
