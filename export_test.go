package mp

import "context"

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
