package manager

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// ref is this process's claim to an object. The manager counts how many times it has told this
// process of the object, and keeps the object alive until this process has released it as many
// times.
type ref struct {
	users int // proxies, and answers that are being read
	told  int // how many times the manager has told this process of the object
	sent  int // how many times a proxy was sent on, so that its receiver may need the object
}

// granted acquires the objects that an answer mentions, so that they are not released before
// settle, and returns them. If the connection on which the answer came has been lost, granted tells
// the manager that this process uses the objects.
func (s *session) granted(on *link, answer []byte) (objects []uint64) {
	objects = store.Refs(answer, s.id)
	for _, id := range objects {
		s.acquire(id, s.isOn(on))
	}
	return objects
}

// settle releases the objects of an answer whose proxies have been made.
func (s *session) settle(objects []uint64) {
	for _, id := range objects {
		s.release(id)
	}
}

// acquire adds a user of an object. told means that the manager has just told this process of the
// object. If told is not set and this process does not know the object, acquire tells the manager
// that this process uses the object.
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
	if hold && on == nil { // a new connection tells the manager of all objects
		ctx, cancel := context.WithTimeout(context.Background(), attachTimeout)
		defer cancel()
		if on, _ = s.connected(ctx); on != nil {
			s.note(store.OpPing, 0, nil)
		}
	}

	if hold && s.id == functions.hosted() {
		// The caller of the method that receives this proxy uses another connection. It may learn
		// that the method has returned before the manager learns that this process uses the object.
		// So wait until the manager has read the note.
		ctx, cancel := context.WithTimeout(context.Background(), attachTimeout)
		defer cancel()
		_, _ = s.identify(ctx)
	}
}

// attachTimeout bounds how long a received proxy waits for a connection. If there is no connection
// by then, the first use of the proxy returns the error.
const attachTimeout = time.Second

// release undoes acquire.
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

// sent notes that a proxy is being sent on, so that its object lives even if this process no longer
// uses the object.
func (s *session) sent(id uint64) { s.changeSent(id, func(n int) int { return n + 1 }) }

// arrived notes that no proxy is still on its way, since the receivers have all that were sent.
func (s *session) arrived(id uint64) { s.changeSent(id, func(int) int { return 0 }) }

// stored takes back sent for proxies that were encoded for the manager itself, which knows what a
// value contains.
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

// holdAll tells the manager over a new connection which objects this process uses. The caller must
// hold s.mu.
func (s *session) holdAll() {
	for id, r := range s.refs {
		r.told = 1
		s.conn.note(store.OpHold, id, nil)
		if r.sent > 0 {
			s.conn.note(store.OpPin, id, func(w *store.Writer) { w.Bool(true) })
		}
	}
}
