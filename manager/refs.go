package manager

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// ref is what this process has of an object: the manager keeps it alive until it is told that
// nobody here needs it any more, as often as it has told us of it.
type ref struct {
	users int // proxies, and answers that are being read
	told  int
	sent  int // how often a proxy was sent on: who receives it may need it
}

// granted notes the objects that an answer tells of, and returns them, so that nobody gives them back
// until settle. Of what a connection has told that is lost by now, the manager is told that it is used
// here.
func (s *session) granted(on *link, answer []byte) (objects []uint64) {
	objects = store.Refs(answer, s.id)
	for _, id := range objects {
		s.acquire(id, s.isOn(on))
	}
	return objects
}

// settle is when the proxies of an answer have been made.
func (s *session) settle(objects []uint64) {
	for _, id := range objects {
		s.release(id)
	}
}

// acquire notes a user of an object, of which the manager has told if it was not known before.
// Otherwise that is told that it is used here.
func (s *session) acquire(id uint64, told bool) {
	s.mu.Lock()
	r := s.refs[id]
	hold := r == nil && !told
	if r == nil {
		r = &ref{}
		s.refs[id] = r
	}
	r.users++
	if told || hold {
		r.told++
	}
	on, tell := s.conn, func() {}
	if hold {
		tell = s.noteNow(store.OpHold, id, nil)
	}
	s.mu.Unlock()
	tell()
	if hold && on == nil { // a new connection is told of all
		ctx, cancel := context.WithTimeout(context.Background(), meeting)
		defer cancel()
		if on, _ = s.connected(ctx); on != nil {
			s.note(store.OpPing, 0, nil)
		}
	}
	if hold && s.id == functions.hosted() {
		// Who has called the method that gets this may be told of its end before the manager is
		// told of this, over another connection.
		ctx, cancel := context.WithTimeout(context.Background(), meeting)
		defer cancel()
		_, _ = s.identify(ctx)
	}
}

// meeting bounds how long a proxy that was received waits for a connection. Without one it is an
// error of its first use.
const meeting = time.Second

// release is acquire's counterpart.
func (s *session) release(id uint64) {
	s.mu.Lock()
	tell := func() {}
	if r := s.refs[id]; r != nil {
		if r.users--; r.users <= 0 && r.sent == 0 {
			delete(s.refs, id)
			tell = s.noteNow(store.OpRelease, id, func(w *store.Writer) { w.Int(r.told) })
		}
	}
	s.mu.Unlock()
	tell()
}

// sent notes that a proxy is sent on, so that its object lives though nobody here may use it.
func (s *session) sent(id uint64) { s.changeSent(id, func(n int) int { return n + 1 }) }

// arrived notes that nobody waits for what was sent on: who has received it has it.
func (s *session) arrived(id uint64) { s.changeSent(id, func(int) int { return 0 }) }

// stored notes what was encoded for the manager itself, which knows what is in it.
func (s *session) stored(b []byte) {
	for _, id := range store.Refs(b, s.id) {
		s.changeSent(id, func(n int) int { return max(n-1, 0) })
	}
}

func (s *session) changeSent(id uint64, change func(n int) int) {
	s.mu.Lock()
	r := s.refs[id]
	tell := func() {}
	if r != nil {
		before := r.sent
		r.sent = change(before)
		if r.sent == 0 && r.users <= 0 {
			delete(s.refs, id)
			tell = s.noteNow(store.OpRelease, id, func(w *store.Writer) { w.Int(r.told) })
		} else if before > 0 != (r.sent > 0) {
			tell = s.noteNow(store.OpPin, id, func(w *store.Writer) { w.Bool(r.sent > 0) })
		}
	}
	s.mu.Unlock()
	tell()
}

// holdAll has a new connection tell what is used here; under the lock.
func (s *session) holdAll() {
	for id, r := range s.refs {
		r.told = 1
		s.conn.note(store.OpHold, id, nil)
		if r.sent > 0 {
			s.conn.note(store.OpPin, id, func(w *store.Writer) { w.Bool(true) })
		}
	}
}
