package manager

import (
	"context"
	"errors"

	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// link is a connection together with the data to send over it.
type link struct {
	*conn
	out, spare []byte
	room       chan struct{} // closed when out has room again; nil if no goroutine waits for room
	batches    int           // how many messages were sent, or are being sent
	buf        []byte        // used by the goroutine that reads
	sending    bool
	reading    bool
}

// maxUnsent is how many bytes may wait to be sent, besides one request. If the manager does not
// read and the buffer fills up, callers wait.
const maxUnsent = 4 << 20

// full returns a channel to wait for before another request of n bytes can be queued, or nil if
// there is room.
func (l *link) full(n int) (room <-chan struct{}) {
	if len(l.out) == 0 || len(l.out)+n <= maxUnsent {
		return nil
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

// hasRoom wakes the goroutines that wait for room.
func (l *link) hasRoom() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

func (l *link) waitSend(b []byte) error { return l.SendBytes(context.Background(), b) }

// maxBytes is the maximum size of a message within a tree of processes. A local client, like a
// remote one, must not make the manager allocate more memory than the client itself uses.
const maxBytes = 64 << 20

// tooLong reports whether n bytes do not fit in a message of at most most bytes, one of which is
// its type.
func tooLong(n, most int) bool { return n+1 > most }

// atMost returns the total size of the leading frames that fit in one message. It always counts the
// first frame.
func atMost(frames []byte, most int) int {
	if !tooLong(len(frames), most) {
		return len(frames)
	}
	n := 0
	for n < len(frames) {
		next := n + store.FrameSize(frames[n:])
		if n > 0 && tooLong(next, most) {
			break
		}
		n = next
	}
	return n
}

// sendAll sends queued requests until there are no more. If the connection has no room for them,
// another goroutine continues and waits for room.
func (s *session) sendAll(on *link, send func(b []byte) error) {
	for {
		s.mu.Lock()
		b := on.out
		if len(b) == 0 || s.conn != on {
			on.sending = false
			s.mu.Unlock()
			return
		}

		n := atMost(b, s.most)
		rest := on.spare[:0]
		rest = append(rest, b[n:]...)
		on.out, on.spare = rest, nil
		on.hasRoom()
		b = b[:n]
		on.batches++ // before send, since the connection may be lost before send returns
		s.mu.Unlock()
		err := send(b)
		if errors.Is(err, ipc.ErrFull) {
			s.mu.Lock()
			on.out = append(b, on.out...)
			s.mu.Unlock()
			go s.sendAll(on, on.waitSend)
			return
		}

		s.mu.Lock()
		if err != nil {
			on.batches--
		}

		if cap(b) <= maxPooled {
			on.spare = b[:0]
		}

		s.mu.Unlock()
		if err != nil {
			s.lost(on)
		}
	}
}

// note queues a note for sending.
func (l *link) note(op store.Op, object uint64, rest func(w *store.Writer)) {
	w := store.Writer{B: l.out}
	w.Begin(0, op, 0)
	w.Uint(object)
	if rest != nil {
		rest(&w)
	}
	w.End()
	l.out = w.B
}
