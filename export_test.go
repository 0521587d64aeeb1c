package mp

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// PutRaw puts bytes that no Put has encoded, as a corrupt process might.
func (q *Queue[T]) PutRaw(b []byte) error {
	p := parcel{outside: q.q.outside}
	return p.sent(q.q.ring.Put(context.Background(), b, p.put, p.drop))
}

// SendRaw is PutRaw for a connection.
func (c *Conn[T]) SendRaw(b []byte) error { return c.c.send(context.Background(), b) }

// GetRaw takes an element, and returns its bytes without decoding them.
func (q *Queue[T]) GetRaw() ([]byte, error) {
	rec, err := q.q.ring.TryGet(nil)
	return rec.Bytes, err
}

// ForgeElements writes elements that lie outside of the queue into its memory, as a corrupt process might: all of
// them in the segment with a number.
func (q *Queue[T]) ForgeElements(n int, segment uint64, size int) {
	mem := q.q.obj.Bytes()
	forgeRecords(mem, mem[xsync.RingSize:], n, segment, size)
}

// ForgeMessages is ForgeElements for messages that the second end of a pipe sends.
func (c *Conn[T]) ForgeMessages(n int, segment uint64, size int) {
	mem := c.c.line.(*pipeEnd).mem.Bytes()
	data := mem[xsync.PipeHead:]
	forgeRecords(mem[xsync.Small+xsync.RingSize:], data[len(data)/2:], n, segment, size)
}

func forgeRecords(ring, data []byte, n int, segment uint64, size int) {
	const (
		spilled   = 1 << 63
		born      = 1 << 62
		placeBits = 20
	)
	tail := shm.Word64(ring, 192)
	for range n {
		p := tail.Load()
		at := int(p&(1<<placeBits-1)) * 8
		for i, word := range []uint64{xsync.SpillSize | spilled, segment, uint64(size), 0} {
			binary.LittleEndian.PutUint64(data[(at+8*i)%len(data):], word)
		}
		count := (p&^uint64(born))>>placeBits + 1
		tail.Store(born | count<<placeBits | uint64((at+32)%len(data)/8))
	}
}

// SetReadOn changes how long a message that has been taken is still read once a context has ended.
func SetReadOn(d time.Duration) (back func()) {
	before := readOn
	readOn = d
	return func() { readOn = before }
}
