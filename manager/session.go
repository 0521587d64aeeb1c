package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// protocol is the message type between a manager and its clients. Messages are sent as bytes and
// consist of frames. The type changes whenever the format of the frames changes, so that different
// versions do not connect.
type protocol struct{ Version3 bool }

type conn = ipc.Conn[protocol]

// A session is this process's link to a manager: a connection, made when it is needed, and the
// calls in progress on it. One of the goroutines that wait for answers reads the answers for all of
// them, so a lone caller gets its answer without a switch to another goroutine.
type session struct {
	id      store.ID
	connect func(ctx context.Context) (*conn, error)
	far     bool // the manager is outside this tree of processes
	most    int  // bytes in a message

	connecting chan struct{} // full while a goroutine makes a connection
	giveUp     func()        // abandons a half-made connection; nil if a connection is never left half made
	over       context.Context
	end        context.CancelFunc // cancels over, when the session is closed

	mu     sync.Mutex
	conn   *link
	closed error // nil, or why the session can no longer be used
	lastID uint32
	calls  map[uint32]*call
	refs   map[uint64]*ref
}

func newSession(id store.ID, connect func(ctx context.Context) (*conn, error)) *session {
	s := &session{id: id, most: maxBytes, connect: connect, connecting: make(chan struct{}, 1), calls: map[uint32]*call{}, refs: map[uint64]*ref{}}
	s.over, s.end = context.WithCancel(context.Background())
	return s
}

// newLocalSession returns a session with a manager that has a door.
func newLocalSession(id store.ID, door *ipc.Queue[hello]) *session {
	k := &knocker{door: door}
	s := newSession(id, k.connect)
	s.giveUp = k.leave
	return s
}

// cancelTimeout is how long a call waits for the answer after its context has ended. A live manager
// answers a canceled call at once.
const cancelTimeout = 250 * time.Millisecond

// The first and the longest pause between connections that are lost before anything is sent over
// them. Each pause is twice as long as the one before.
const (
	firstPause = time.Millisecond
	lastPause  = time.Second
)

// wait waits until d has passed or ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// roundTrip sends a request and waits for the answer. If abandoned is true, roundTrip has stopped
// waiting for the answer, which may still come.
func (s *session) roundTrip(ctx context.Context, r *request) (answer []byte, abandoned bool, err error) {
	if tooLong(len(r.B), s.most) {
		return nil, false, fmt.Errorf("%w: a request of %d bytes, where a message may have %d", ErrLimit, len(r.B), s.most)
	}
	c := &r.call
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := ctx.Err(); err != nil {
			return nil, false, cause.Of(ctx)
		}
		if err := s.send(ctx, r); err != nil {
			return nil, false, err
		}
		if !s.await(ctx, c) {
			break
		}
		if !errors.Is(c.err, errNotSent) { // if it was not sent, another connection may succeed
			return c.answer, false, c.err
		}
		wait(ctx, pause)
	}

	s.note(store.OpCancel, uint64(c.id), nil)
	soon, cancel := context.WithTimeout(context.Background(), r.cancelTimeout)
	defer cancel()
	if s.await(soon, c) {
		if errors.Is(c.err, errNotSent) {
			return nil, false, cause.Of(ctx)
		}
		return c.answer, false, c.err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if c.done {
		return c.answer, false, c.err
	}

	c.late = func(answer []byte) {
		objects := s.granted(c.on, answer)
		if r.late != nil && s.isOn(c.on) { // after a lost connection, the manager has taken everything back
			r.late(answer)
		}
		s.settle(objects)
	}

	go s.await(context.Background(), c) // there may be no other caller left to read
	return nil, true, cause.Of(ctx)
}

// errNotSent is the error of a call whose request was not sent.
var errNotSent = errors.New("not sent")

// send queues a request and sends it together with the requests of other callers.
func (s *session) send(ctx context.Context, r *request) error {
	on, err := s.connected(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	for room := on.full(len(r.B)); room != nil; room = on.full(len(r.B)) {
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return cause.Of(ctx)
		}
		s.mu.Lock()
	}

	if err := s.enter(on, r); err != nil {
		s.mu.Unlock()
		return err
	}
	mine := !on.sending
	on.sending = true
	s.mu.Unlock()
	if mine {
		s.flush(on)
	}

	return nil
}

// flush sends the queued requests. It does not wait.
func (s *session) flush(on *link) {
	if s.far {
		go s.sendAll(on, on.waitSend)
	} else {
		s.sendAll(on, on.TrySendBytes)
	}
}

// enter gives a call its number and queues its request. The caller must hold s.mu.
func (s *session) enter(on *link, r *request) error {
	if s.closed != nil {
		return s.closed
	}
	s.lastID++
	for s.lastID == 0 || s.calls[s.lastID] != nil {
		s.lastID++
	}

	c := &r.call
	select {
	case <-c.wake: // left from an earlier use
	default:
	}

	*c = call{id: s.lastID, on: on, after: on.batches, wake: c.wake, answer: c.answer[:0]}
	s.calls[c.id] = c
	store.SetCall(r.B, c.id)
	on.out = append(on.out, r.B...)
	return nil
}

// connected returns the connection, and makes one if necessary.
func (s *session) connected(ctx context.Context) (*link, error) {
	s.mu.Lock()
	on, closed := s.conn, s.closed
	s.mu.Unlock()
	if closed != nil || on != nil {
		return on, closed
	}
	select {
	case s.connecting <- struct{}{}:
		defer s.connectNext()
	case <-ctx.Done():
		return nil, cause.Of(ctx)
	}

	s.mu.Lock()
	on, closed = s.conn, s.closed
	s.mu.Unlock()
	switch {
	case closed != nil || on != nil:
		return on, closed
	case s.connect == nil:
		return nil, ErrLost
	}

	short, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(s.over, func() { cancel(mp.ErrClosed) })()
	c, err := s.connect(short)
	cancel(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && s.closed == nil:
		s.conn = &link{conn: c}
		s.holdAll()
		return s.conn, nil
	case err == nil:
		_ = c.Close()
	}

	if s.closed != nil {
		err = s.closed
	}

	return nil, err
}

// connectNext lets the next goroutine make a connection. When the session is closed, the last
// goroutine abandons a half-made connection.
func (s *session) connectNext() {
	<-s.connecting
	s.mu.Lock()
	closed := s.closed != nil
	s.mu.Unlock()
	if closed {
		s.endConnecting()
	}
}

// endConnecting abandons a half-made connection. If a goroutine is still making the connection,
// that goroutine abandons it instead.
func (s *session) endConnecting() {
	select {
	case s.connecting <- struct{}{}:
		if s.giveUp != nil {
			s.giveUp()
		}
		<-s.connecting
	default:
	}
}

// await waits for the answer to a call until ctx ends, and reports whether the answer has come.
func (s *session) await(ctx context.Context, c *call) bool {
	for {
		s.mu.Lock()
		switch {
		case c.done:
			s.mu.Unlock()
			return true
		case c.on.reading:
			c.waits = true
			s.mu.Unlock()
			select {
			case <-c.wake:
			case <-ctx.Done():
			}
			s.mu.Lock()
			c.waits = false
			if !c.done && ctx.Err() != nil {
				s.promote(c.on) // this call may have been asked to read
				s.mu.Unlock()
				return false
			}
			s.mu.Unlock()
		default:
			c.on.reading = true
			s.mu.Unlock()
			err := s.read(ctx, c)
			s.mu.Lock()
			c.on.reading = false
			s.promote(c.on)
			done := c.done
			s.mu.Unlock()
			if done {
				return true
			}
			if err != nil && ctx.Err() != nil && !errors.Is(err, io.EOF) {
				return false
			}
			s.lost(c.on)
		}
	}
}

// promote asks one of the waiting callers to read. The caller must hold s.mu.
func (s *session) promote(on *link) {
	if on.reading {
		return
	}
	for _, c := range s.calls {
		if c.waits && c.on == on {
			c.wakeUp()
			return
		}
	}
}

const bufSize = 64 << 10

// read reads answers until it has read the answer to c.
func (s *session) read(ctx context.Context, c *call) error {
	if c.on.buf == nil {
		c.on.buf = make([]byte, bufSize)
	}
	for {
		message, err := receive(ctx, c.on.conn, c.on.buf)
		if err != nil {
			return err
		}
		done, err := s.deliver(c, message)
		if done || err != nil {
			return err
		}
	}
}

// receive receives a message into buf, or into new memory if the message is longer.
func receive(ctx context.Context, on *conn, buf []byte) ([]byte, error) {
	n, err := on.RecvInto(ctx, buf)
	if errors.Is(err, io.ErrShortBuffer) {
		return on.RecvBytes(ctx)
	}
	return buf[:n], err
}

// deliver hands out the answers of a message, and reports whether c is done.
func (s *session) deliver(c *call, message []byte) (done bool, err error) {
	var late []func()
	s.mu.Lock()
	err = store.Frames(message, func(id uint32, body []byte) error {
		to := s.calls[id]
		if to == nil {
			return nil
		}
		delete(s.calls, id)
		to.done = true
		if to.late != nil {
			body = append([]byte(nil), body...)
			late = append(late, func() { to.late(body) })
		} else {
			to.answer = append(to.answer[:0], body...)
		}

		if to != c {
			to.wakeUp()
		}
		return nil
	})

	done = c.done
	s.mu.Unlock()
	for _, f := range late {
		go f()
	}

	return done, err
}

// lost gives up a connection and ends all calls on it.
func (s *session) lost(on *link) {
	_ = on.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == on {
		s.conn = nil
	}

	on.out = nil
	on.hasRoom()
	for id, c := range s.calls {
		if c.on == on {
			delete(s.calls, id)
			c.done, c.err = true, ErrLost
			if c.after >= on.batches {
				c.err = errNotSent
			}
			if s.closed != nil {
				c.err = s.closed
			}
			c.wakeUp()
		}
	}
}

// close ends the session.
func (s *session) close(err error) {
	s.mu.Lock()
	if s.closed == nil {
		s.closed = err
	}
	on := s.conn
	s.mu.Unlock()
	s.end()
	s.endConnecting()
	if on != nil {
		s.lost(on)
	}
}

// isOn reports whether a connection has not been lost.
func (s *session) isOn(on *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == on
}

// note sends a message that the manager does not answer. It does not matter if sending fails, since
// the manager drops everything that belonged to a lost connection.
func (s *session) note(op store.Op, object uint64, rest func(w *store.Writer)) {
	s.mu.Lock()
	tell := s.noteNow(op, object, rest)
	s.mu.Unlock()
	tell()
}

// noteNow is like note, but the caller must hold s.mu. This keeps messages in the order of the
// events that they report. The caller must call tell after it has released the lock.
func (s *session) noteNow(op store.Op, object uint64, rest func(w *store.Writer)) (tell func()) {
	on := s.conn
	if on == nil {
		return func() {}
	}
	on.note(op, object, rest)
	if on.sending {
		return func() {}
	}
	on.sending = true
	return func() { s.flush(on) }
}
