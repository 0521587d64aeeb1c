package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Messages on the socket consist of a head of 16 bytes and a body. They carry everything except
// small tasks and results, in both directions.
const (
	msgHello   = 1  // parent: Config; worker: Hello
	msgReady   = 2  // worker: the worker can serve
	msgFailed  = 3  // worker: the worker cannot serve; the body is the error
	msgPayload = 4  // both: the body of a task or result too large for the ring
	msgCancel  = 5  // parent: cancel the context of task seq; a body means that its deadline has passed
	msgLog     = 6  // worker: a log record
	msgGo      = 8  // parent: the worker may run its setup
	msgBroker  = 9  // worker: a request to serve its socket for shared segments
	msgStacks  = 7  // parent: a request for the goroutines' stacks; worker: the stacks
	msgAsk     = 10 // parent: query seq, or if there is no body, its withdrawal; worker: the answer
)

const headSize = 16

var errGarbage = errors.New("the other process does not speak the protocol")

// A sender writes whole messages. It is safe for concurrent use.
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

// firstAlloc is how much memory is allocated for a message's body before any of it has arrived.
// After that, the buffer is at most twice as large as the part that has arrived, because the length
// in the message's head is only a claim.
const firstAlloc = 1<<20 + 64<<10

// bounds are the maximum sizes of messages by kind. A kind without an entry is garbage.
type bounds map[uint32]uint64

// fromParent holds a worker's bounds for messages from its parent. They are wide, because a worker
// trusts its parent.
var fromParent = bounds{msgHello: 1 << 40, msgPayload: 1 << 40, msgCancel: 1, msgGo: 0, msgStacks: 0, msgAsk: 1 << 40}

// MaxFailure is the maximum size of a message that describes a failure: the error or the panic of a
// task, or the error of a setup. It applies even if results must be smaller.
const MaxFailure = 16 << 20

// fromWorker returns a parent's bounds for messages from a worker, given the maximum size of a
// result. The bounds of other messages exceed the sizes to which packages task, errtree, logs and
// query limit an honest worker.
func fromWorker(most int) bounds {
	return bounds{
		msgHello: 16 << 20, msgReady: 0, msgFailed: MaxFailure, msgPayload: uint64(max(most, MaxFailure)), msgLog: 4 << 20,
		msgBroker: 0, msgStacks: 1 << 20, msgAsk: 256 << 20,
	}
}

// MaxStacks is the maximum number of bytes of its goroutines' stacks that a worker sends.
const MaxStacks = 64 << 10

// receive reads one message.
func receive(r io.Reader, most bounds) (kind, seq uint32, body []byte, err error) {
	kind, seq, n, err := receiveHead(r, most)
	if err == nil {
		body, err = readBody(r, n)
	}
	return kind, seq, body, err
}

// receiveHead reads the head of a message. It returns the size n of the message's body.
func receiveHead(r io.Reader, most bounds) (kind, seq uint32, n uint64, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, 0, err
	}
	kind, seq = binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	n = binary.LittleEndian.Uint64(head[8:])
	if limit, ok := most[kind]; !ok || n > limit {
		return 0, 0, 0, fmt.Errorf("%w: message %d of %d bytes", errGarbage, kind, n)
	}
	return kind, seq, n, nil
}

// readBody reads a body of n bytes.
func readBody(r io.Reader, n uint64) ([]byte, error) {
	body := make([]byte, 0, min(n, firstAlloc))
	for uint64(len(body)) < n {
		if len(body) == cap(body) {
			body = grow(body, n)
		}
		k, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+k]
		if err != nil && uint64(len(body)) < n {
			return nil, err
		}
	}
	return body, nil
}

// grow moves a partial body of a message of n bytes to a larger buffer.
func grow(body []byte, n uint64) []byte {
	grown := make([]byte, len(body), min(n, 2*uint64(cap(body))))
	copy(grown, body)
	return grown
}

// appendString and reader define the format of the small messages.
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
