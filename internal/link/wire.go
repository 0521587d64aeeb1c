package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Messages on the socket: 16 bytes of head, then the body. Everything that is
// not a small task or result goes here, in both directions.
const (
	msgHello   = 1  // parent: Config; worker: Hello
	msgReady   = 2  // worker: in service
	msgFailed  = 3  // worker: it cannot serve; body: the error
	msgPayload = 4  // both: the body of a task or result too large for the ring
	msgCancel  = 5  // parent: cancel the context of task seq; a body: its deadline has passed
	msgLog     = 6  // worker: a log record
	msgGo      = 8  // parent: the worker may run its setup
	msgBroker  = 9  // worker: let its socket to the broker be served
	msgStacks  = 7  // parent: asks for the goroutines' stacks; worker: tells them
	msgAsk     = 10 // parent: a question, or no more word of question seq; worker: the answer
)

const headSize = 16

var errGarbage = errors.New("the other process does not speak the protocol")

// A sender writes whole messages; it is safe for concurrent use.
type sender struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sender) send(kind, seq uint32, body []byte) error {
	var head [headSize]byte
	binary.LittleEndian.PutUint32(head[:], kind)
	binary.LittleEndian.PutUint32(head[4:], seq)
	binary.LittleEndian.PutUint64(head[8:], uint64(len(body)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(body) <= 4096 {
		_, err := s.w.Write(append(head[:], body...))
		return err
	}
	if _, err := s.w.Write(head[:]); err != nil {
		return err
	}
	_, err := s.w.Write(body)
	return err
}

// A head that lies about its length costs memory of this size, or of so many times the
// size of what has arrived.
const (
	firstBody  = 64 << 10
	bodyGrowth = 64
)

// receive reads one message.
func receive(r io.Reader) (kind, seq uint32, body []byte, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	kind, seq = binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	n := binary.LittleEndian.Uint64(head[8:])
	if kind < msgHello || kind > msgAsk || n > 1<<40 {
		return 0, 0, nil, fmt.Errorf("%w: message %d of %d bytes", errGarbage, kind, n)
	}
	body = make([]byte, 0, min(n, firstBody))
	for uint64(len(body)) < n {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(n, uint64(cap(body))*bodyGrowth))
			copy(grown, body)
			body = grown
		}
		k, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+k]
		if err != nil && uint64(len(body)) < n {
			return 0, 0, nil, err
		}
	}
	return kind, seq, body, nil
}

// appendString and cutString are the whole format of the small messages.
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) err() error {
	if r.bad || len(r.b) != 0 {
		return errGarbage
	}
	return nil
}
