package segments

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// A Remote is the broker as seen from a process other than the root.
type Remote struct {
	conn   *conn
	table  *park.WaitTable
	tag    uint64
	gone   func(id uint64)
	closer sys.Closer // closes descriptors from other processes

	adopting sync.Mutex // keeps the two messages of Adopt together

	mu      sync.Mutex
	next    uint32
	replies map[uint32]chan message
	lost    error
}

// Connect starts to use the socket that this process was started with. The caller must have asked
// the parent to have the socket served. gone is called when a segment that this process has fetched
// is destroyed, and when a message ends for which this process has published a segment.
func Connect(fd int, gone func(id uint64)) (*Remote, error) {
	r := &Remote{gone: gone, replies: map[uint32]chan message{}}
	var err error
	if r.conn, err = newConn(fd, &r.closer); err != nil {
		return nil, err
	}

	m, err := r.conn.receive()
	if err == nil && (m.op != opWelcome || m.fd < 0 || m.fd == m.also || m.id == 0 || m.id >= park.MaxProcs) {
		err = errGarbage
	}
	if err != nil {
		r.closer.Close(m.fd)
		if errors.Is(err, io.EOF) {
			err = errFull
		}
		return nil, err
	}

	mailboxes, err := park.OpenMailboxes(m.fd, m.also)
	if err != nil {
		return nil, err
	}
	r.table, r.tag = park.NewWaitTable(mailboxes, int(m.id)), m.size
	go r.listen()
	return r, nil
}

func (r *Remote) listen() {
	for {
		m, err := r.conn.receive()
		if err != nil {
			r.mu.Lock()
			r.lost = err
			for _, ch := range r.replies {
				close(ch)
			}
			r.replies = nil
			r.mu.Unlock()
			return
		}

		switch m.op {
		case opGone:
			r.gone(m.id)
		case opReply:
			r.mu.Lock()
			ch := r.replies[m.req]
			delete(r.replies, m.req)
			r.mu.Unlock()
			if ch != nil {
				ch <- m
				continue
			}
		}

		r.closer.Close(m.fd)
	}
}

// ask sends requests, of which only the last is answered, and waits for that answer.
func (r *Remote) ask(messages ...message) (message, error) {
	ch := make(chan message, 1)
	r.mu.Lock()
	if r.lost != nil {
		r.mu.Unlock()
		return message{fd: -1}, r.lost
	}
	r.next++
	req := r.next
	r.replies[req] = ch
	r.mu.Unlock()

	for _, m := range messages {
		m.req = req
		if err := r.conn.send(m); err != nil {
			r.mu.Lock()
			delete(r.replies, req)
			r.mu.Unlock()
			return message{fd: -1}, err
		}
	}

	m, ok := <-ch
	if !ok {
		return message{fd: -1}, io.ErrUnexpectedEOF
	}
	return m, nil
}

// WaitTable implements Directory.
func (r *Remote) WaitTable() *park.WaitTable { return r.table }

// Tag implements Directory.
func (r *Remote) Tag() uint64 { return r.tag }

// Publish implements Directory. It costs a round trip.
func (r *Remote) Publish(id uint64, fd int, size int, arena bool) error {
	m, err := r.ask(message{op: opPublish, id: id, size: uint64(size), arena: arena, fd: fd})
	if err == nil && !m.ok {
		err = errors.New("mp: the main process keeps no more shared objects of this one")
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// Fetch implements Directory. It costs a round trip.
func (r *Remote) Fetch(id uint64) (Segment, error) { return r.fetch(id, false) }

// FetchFile implements Directory. It costs a round trip.
func (r *Remote) FetchFile(id uint64) (int, error) {
	g, err := r.fetch(id, true)
	return g.FD, err
}

func (r *Remote) fetch(id uint64, file bool) (Segment, error) {
	m, err := r.ask(message{op: opFetch, id: id, ok: file, fd: -1})
	switch {
	case err != nil:
		return Segment{FD: -1}, err
	case !m.ok || m.fd < 0 || file != (m.size == 0):
		r.closer.Close(m.fd)
		return Segment{FD: -1}, ErrGone
	}
	return Segment{m.fd, int(m.size), m.arena}, nil
}

// Drop implements Directory.
func (r *Remote) Drop(id uint64) { _ = r.conn.send(message{op: opDrop, id: id, fd: -1}) }

// Destroy implements Directory.
func (r *Remote) Destroy(id uint64) { _ = r.conn.send(message{op: opDestroy, id: id, fd: -1}) }

// Take implements Directory.
func (r *Remote) Take(id uint64) { _ = r.conn.send(message{op: opTake, id: id, fd: -1}) }

// Keep implements Directory. It costs a round trip.
func (r *Remote) Keep(carrier, id uint64, how Keeping) error {
	m, err := r.ask(message{op: opKeep, id: id, size: carrier, ok: how == Owned, arena: how == Message, fd: -1})
	if err == nil && !m.ok {
		err = ErrGone
	}
	return err
}

// Release implements Directory.
func (r *Remote) Release(carrier, id uint64, end bool) {
	_ = r.conn.send(message{op: opRelease, id: id, size: carrier, ok: end, fd: -1})
}

// Adopt implements Directory. It costs a round trip.
func (r *Remote) Adopt(end, pidfd int, _ <-chan struct{}) (Child, error) {
	r.adopting.Lock()
	defer r.adopting.Unlock()
	defer new(sys.Closer).Close(end) // which closes what it contains if the server refused it
	defer unix.Close(pidfd)
	m, err := r.ask(message{op: opAdopt, fd: end}, message{op: opPidfd, fd: pidfd})
	if err == nil && !m.ok {
		err = errFull
	}
	return remoteChild{r, m.id}, err
}

type remoteChild struct {
	r   *Remote
	tag uint64
}

func (c remoteChild) Depart() { _ = c.r.conn.send(message{op: opDepart, id: c.tag, fd: -1}) }
