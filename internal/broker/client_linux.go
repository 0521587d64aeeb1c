package broker

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// client is a process that the server serves.
type client struct {
	s        *Server
	conn     *conn
	slot     int
	parent   int // slot
	waiting  int // end of a socket to be adopted; -1: none
	children map[int]*client

	mu      sync.Mutex
	read    sync.Cond // there is less in the outbox, or nobody waits for that any more
	outbox  []message
	sending int // messages that have left the outbox, and not this process
	writing bool
	over    bool // it is dead
	silent  bool // nothing is written any more

	// Under the server's lock.
	dead     bool
	departed bool
}

var errFull = errors.New("mp: too many processes share objects")

func (s *Server) adopt(end, parent int, died <-chan struct{}) (*client, error) {
	cn, err := newConn(end)
	if err != nil {
		return nil, err
	}
	c := &client{s: s, conn: cn, parent: parent, waiting: -1, children: map[int]*client{}}
	c.read.L = &c.mu
	s.mu.Lock()
	for i := rootSlot + 1; i < len(s.clients) && c.slot == 0; i++ {
		if s.clients[i] == nil {
			s.clients[i], c.slot = c, i
		}
	}
	if c.slot == 0 {
		s.mu.Unlock()
		_ = cn.file.Close()
		return nil, errFull
	}
	s.count++
	s.mail.Occupy(c.slot)
	s.mu.Unlock()
	c.say(message{op: opWelcome, id: uint64(c.slot), fd: s.mail.FD(), also: []int{s.mail.RosterFD()}})
	go c.serve(died)
	return c, nil
}

// serve answers until the process has died, and then sees to what it had.
func (c *client) serve(died <-chan struct{}) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c.awaitReader()
			m, err := c.conn.receive()
			if err != nil {
				return
			}
			if !c.handle(m) {
				c.shutdown(unix.SHUT_RDWR) // who waits for an answer must not wait for ever
				return
			}
		}
	}()
	<-died
	c.mu.Lock()
	c.over = true
	c.read.Signal()
	c.mu.Unlock()
	// What it sent before it died counts. What others send who may hold its socket does not.
	c.shutdown(unix.SHUT_RD)
	_ = c.conn.file.SetReadDeadline(time.Unix(1, 0))
	<-served
	c.drain()
	for _, child := range c.children { // nobody is there to look at what they sent
		child.Depart()
	}
	if c.waiting >= 0 {
		_ = unix.Close(c.waiting)
	}
	c.mu.Lock()
	unread := c.outbox
	c.outbox, c.silent = nil, true
	c.mu.Unlock()
	for _, m := range unread {
		m.closeFD()
	}
	_ = c.conn.file.Close()
	c.s.died(c)
}

func (c *client) shutdown(how int) {
	_ = c.conn.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
}

// drain handles what is in the socket of a dead client.
func (c *client) drain() {
	_ = c.conn.raw.Control(func(fd uintptr) {
		for {
			m, err := receive(int(fd))
			if err != nil || !c.handle(m) {
				return
			}
		}
	})
}

// died gives back all that a dead client held and lets its slot be used again.
func (s *Server) died(c *client) {
	s.bury(c.slot)
	s.mu.Lock()
	s.mail.Vacate(c.slot)
	s.mail.RingAll()
	c.dead = true
	s.inherit(c)
	s.clients[c.slot] = nil
	s.count--
	s.mu.Unlock()
	s.gone(0)
}

// Depart is Child's.
func (c *client) Depart() {
	s := c.s
	s.mu.Lock()
	c.departed = true
	if c.dead {
		s.settle(c)
	}
	s.mu.Unlock()
	s.gone(0)
}

// handle answers one message, whose descriptor it takes over; false ends the
// connection.
func (c *client) handle(m message) bool {
	s := c.s
	keep := false
	defer func() {
		if !keep {
			m.closeFD()
		}
	}()
	switch m.op {
	case opPublish:
		keep = true
		c.answer(m, c.publish(m))
	case opFetch:
		c.fetch(m)
	case opDrop:
		s.drop(m.id, c.slot)
	case opDestroy:
		s.destroy(m.id, c.slot)
	case opTake:
		s.take(m.id, c.slot)
	case opKeep:
		c.answer(m, s.Keep(m.size, m.id, m.ok) == nil)
	case opRelease:
		s.Release(m.size, m.id, m.ok)
	case opAdopt:
		if c.waiting >= 0 {
			return false
		}
		c.waiting, keep = m.fd, true // none, if this process can have no more
	case opPidfd:
		if m.fd < 0 || c.waiting < 0 {
			c.refuse(m)
			break
		}
		keep = true
		c.adopt(m)
	case opDepart:
		if child := c.children[int(m.id)]; child != nil {
			delete(c.children, int(m.id))
			child.Depart()
		}
	default:
		return false
	}
	return true
}

// say sends a message some time: who does not read holds up nobody. A descriptor in it
// is not the client's.
func (c *client) say(m message) {
	if m.fd >= 0 && !m.dup() {
		m.ok = false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent {
		m.closeFD()
		return
	}
	c.outbox = append(c.outbox, m)
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// mostUnread is how many messages may wait for a client that asks for more.
const mostUnread = 64

// awaitReader waits until the client has read what it has asked for: each answer may hold
// a descriptor.
func (c *client) awaitReader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.outbox)+c.sending > mostUnread && !c.over {
		c.read.Wait()
	}
}

func (c *client) write() {
	for {
		c.mu.Lock()
		if len(c.outbox) == 0 {
			c.writing = false
			c.mu.Unlock()
			return
		}
		messages := c.outbox
		c.outbox, c.sending = nil, len(messages)
		c.mu.Unlock()
		for _, m := range messages {
			_ = c.conn.send(m)
			m.closeFD()
			c.mu.Lock()
			c.sending--
			c.read.Signal()
			c.mu.Unlock()
		}
	}
}

func (c *client) answer(m message, ok bool) {
	c.say(message{op: opReply, req: m.req, ok: ok, fd: -1})
}

func (c *client) publish(m message) bool {
	var st unix.Stat_t
	if m.fd < 0 || m.size > 0 && (unix.Fstat(m.fd, &st) != nil || uint64(st.Size) != m.size) || m.arena && !shm.Sealed(m.fd) {
		m.closeFD()
		return false
	}
	if c.s.publish(m.id, &segment{fd: m.fd, size: int(m.size), arena: m.arena, owner: c.slot, by: c}) != nil {
		m.closeFD()
		return false
	}
	return true
}

func (c *client) fetch(m message) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	g, err := c.s.fetch(m.id, c.slot)
	if err != nil {
		c.answer(m, false)
		return
	}
	c.say(message{op: opReply, req: m.req, ok: true, arena: g.arena, size: uint64(g.size), fd: g.fd})
}

// refuse answers that a child is not served, of which a descriptor is missing.
func (c *client) refuse(m message) {
	if c.waiting >= 0 {
		_ = unix.Close(c.waiting)
		c.waiting = -1
	}
	c.answer(m, false)
}

// adopt serves a child of the client's.
func (c *client) adopt(m message) {
	end := c.waiting
	c.waiting = -1
	if len(c.children) >= maxChildren || unix.PidfdSendSignal(m.fd, 0, nil, 0) != nil && !hasEnded(m.fd) {
		_ = unix.Close(end)
		m.closeFD()
		c.answer(m, false)
		return
	}
	died, err := awaitDeath(m.fd)
	if err != nil {
		_ = unix.Close(end)
		c.answer(m, false)
		return
	}
	child, err := c.s.adopt(end, c.slot, died)
	if err != nil {
		c.answer(m, false)
		return
	}
	c.children[child.slot] = child
	c.say(message{op: opReply, req: m.req, ok: true, id: uint64(child.slot), fd: -1})
}

// hasEnded reports whether what a descriptor stands for has ended, be it a process.
func hasEnded(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// maxChildren is how many children of one client are served.
const maxChildren = park.MaxProcs / 2

// awaitDeath returns a channel that is closed when the process of a pidfd, which is
// taken over, has died.
func awaitDeath(pidfd int) (<-chan struct{}, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd)
		return nil, err
	}
	f := os.NewFile(uintptr(pidfd), "mp-pidfd")
	died := make(chan struct{})
	go func() {
		sys.AwaitDeath(f)
		_ = f.Close()
		close(died)
	}()
	return died, nil
}
