package segments

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// A client is a process that the server serves, or the root process itself.
type client struct {
	s      *Server
	conn   *conn
	closer sys.Closer // closes descriptors that it sent; no other client waits for them
	slot   int
	tag    uint64
	number int // the number of its process in /proc; 0 if unknown
	parent *client
	pidfd  *os.File // nil for the root's own children

	mu      sync.Mutex
	read    sync.Cond // signals that the outbox shrinks or that the wait is over
	outbox  []message
	sending int // messages that have left the outbox but not this process
	writing bool
	over    chan struct{} // closed when it is dead; nothing is written after that

	// The server's lock guards the fields below.
	waiting  *file                     // a child's end of a socket, to be adopted, or nil
	children map[uint64]*client        // by tag, until they are reaped and have departed
	segments table[*segment, struct{}] // segments that it owns or has fetched
	awaits   table[*segment, struct{}] // segments that are kept because it may have sent them
	files    int                       // descriptors of this process that it pays for
	keeps    int
	all      [resources]int // of it and all clients below it, including what dead ones have left
	dead     bool
	departed bool
	reaped   bool
	off      bool // no longer in its parent's children
}

var errFull = errors.New("mp: too many processes share objects")

const (
	// maxUnread is how many messages may wait for a client before the server stops reading the
	// client's requests.
	maxUnread = 64
	// maxUnclosed is how many of a client's descriptors may still wait to be closed when the server
	// reads the client's next request.
	maxUnclosed = 256
	// maxDrained is how many of a dead client's messages the server handles. The socket of an
	// honest client does not hold that many.
	maxDrained = 1 << 12
	// sendBuffer bounds how many bytes that a client does not read wait in the kernel. The kernel
	// limits the number of descriptors in flight for all of the user's processes together.
	sendBuffer = 16 << 10
	// maxDrain is how long handling a dead client's messages may take.
	maxDrain = 500 * time.Millisecond
)

// adopt serves a new client at a socket, of which it takes ownership.
func (s *Server) adopt(c *client, end int, died <-chan struct{}) error {
	c.s, c.children, c.over = s, map[uint64]*client{}, make(chan struct{})
	c.read.L = &c.mu
	var err error
	if c.conn, err = newConn(end, &c.closer); err != nil {
		s.repay(c)
		return err
	}
	_ = unix.SetsockoptInt(end, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)

	s.mu.Lock()
	if s.admitsChild(c.parent) {
		if i := slices.Index(s.clients[rootSlot+1:], nil); i >= 0 {
			c.slot = rootSlot + 1 + i
			s.clients[c.slot] = c
		}
	}
	if c.slot == 0 {
		s.mu.Unlock()

		c.parent.closer.CloseFileThen(c.conn.file, func() { s.repay(c) })
		return errFull
	}

	s.count++
	c.tag = s.newTag()
	s.mailboxes.Occupy(c.slot)
	if c.parent != s.root {
		c.parent.children[c.tag] = c
		s.use(c.parent, slots, 1)
	}
	s.mu.Unlock()

	c.say(message{op: opWelcome, id: uint64(c.slot), size: c.tag, fd: s.mailboxes.FD(), also: s.mailboxes.RosterFD()})
	go c.serve(died)
	return nil
}

// newTag returns a tag that no client has, and that differs from the root process's tag, 0. Tags
// wrap around after a million processes; a pool that recycles its workers starts that many within
// hours. The caller must hold s.mu.
func (s *Server) newTag() uint64 {
	for {
		s.lastTag = (s.lastTag + 1) % (1 << TagBits)
		taken := slices.ContainsFunc(s.clients[:], func(c *client) bool { return c != nil && c.tag == s.lastTag })
		if s.lastTag != s.root.tag && !taken {
			return s.lastTag
		}
	}
}

// serve answers the client until its process has died, and then disposes of what the client had. No
// step after the death waits for another process.
func (c *client) serve(died <-chan struct{}) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		c.listen()
	}()
	<-died

	// The messages that the client sent before it died count. Later messages do not; they come from
	// other processes that may hold the client's socket.
	c.shutdown(unix.SHUT_RD)
	_ = c.conn.file.SetDeadline(time.Unix(1, 0))

	c.mu.Lock()
	c.outbox = nil
	close(c.over)
	c.read.Signal()
	c.mu.Unlock()

	limit := time.NewTimer(maxDrain)
	defer limit.Stop()
	select {
	case <-served:
		c.drain()
		c.discard()
	case <-limit.C: // the listener has no effect any longer
	}

	c.s.died(c)
	c.closer.CloseFileThen(c.conn.file, func() { c.s.repay(c) }) // and what is still in the socket
}

// admitsChild reports whether a client may have one more child. The caller must hold s.mu.
func (s *Server) admitsChild(parent *client) bool {
	switch {
	case parent.dead:
		return false
	case parent == s.root:
		return true
	}

	s.slots.used = s.count
	for c := parent; c != s.root; c = c.parent {
		if c.all[slots] >= maxChildren {
			return false
		}
	}
	return s.admits(parent, slots, 1)
}

// repay records that the descriptors that a child costs are closed.
func (s *Server) repay(c *client) {
	if c.pidfd == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.charge(c.parent, -perChild)
}

func (c *client) listen() {
	for c.awaitReader() {
		m, err := c.conn.receive()
		if err != nil {
			if errors.Is(err, errGarbage) {
				c.shutdown(unix.SHUT_RDWR)
			}
			return
		}
		if !c.handle(m) {
			c.shutdown(unix.SHUT_RDWR) // a process that waits for an answer must not wait forever
			return
		}
	}
}

func (c *client) shutdown(how int) {
	_ = c.conn.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
}

// drain handles the messages that are in the socket of a dead client.
func (c *client) drain() {
	limit := time.Now().Add(maxDrain)
	_ = c.conn.raw.Control(func(fd uintptr) {
		for range maxDrained {
			m, err := c.conn.receiveNow(int(fd))
			if err != nil || !c.handle(m) || time.Now().After(limit) {
				return
			}
		}
	})
}

// discard closes the descriptors that are in the socket of a dead client, one by one. If they were
// closed together with the socket, closing the socket could block.
func (c *client) discard() {
	_ = c.conn.raw.Control(func(fd uintptr) {
		for range maxDrained {
			m, err := c.conn.receiveNow(int(fd))
			if err != nil && !errors.Is(err, errGarbage) {
				return
			}
			c.closer.Close(m.fd)
		}
	})
}

// died releases everything that a dead client held, and frees its slot.
func (s *Server) died(c *client) {
	s.mu.Lock()
	c.dead = true // from now on, its requests have no effect

	children := c.children
	c.children = nil
	if c.waiting != nil {
		s.refuse(c, c.waiting)
		c.waiting = nil
	}

	var arenas []uint64
	var n step
	for g := range c.segments.m {
		if g.arena {
			arenas = append(arenas, g.id)
		}
		s.pause(&n)
	}
	s.mu.Unlock()

	for _, child := range children { // no process is left that would read what they sent
		child.Depart()
		child.kill()
	}
	s.reap(c.slot, arenas)

	s.mu.Lock()
	s.mailboxes.Vacate(c.slot)
	s.mailboxes.RingAll()
	s.releaseAll(c)
	s.clients[c.slot] = nil
	s.count--
	if c.pidfd != nil {
		_ = c.pidfd.Close()
	}
	c.reaped = true
	s.forgetChild(c)
	s.mu.Unlock()
	s.gone(0)
}

// kill kills a process whose parent is dead. The guard kills the process too, unless the process
// has left its process group. A process occupies a slot as long as it lives.
func (c *client) kill() {
	if raw, err := c.pidfd.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	}
}

// forgetChild removes a client from its parent's children if the client is reaped and has departed.
// As long as the client lives, it has a slot and descriptors, and is killed with its parent. Until
// it has departed, its parent may still report that it has. The caller must hold s.mu.
func (s *Server) forgetChild(c *client) {
	if !c.reaped || !c.departed || c.parent == s.root || c.off {
		return
	}
	c.off = true
	delete(c.parent.children, c.tag)
	s.use(c.parent, slots, -1)
}

// Depart implements Child.
func (c *client) Depart() {
	s := c.s
	s.mu.Lock()
	if c.departed { // its parent may call Depart again and again
		s.mu.Unlock()
		return
	}
	c.departed = true
	s.forgetChild(c)
	if c.dead {
		s.settle(c)
	}
	s.mu.Unlock()
	s.gone(0)
}

// handle answers one message, and takes ownership of its descriptor. It returns false if the
// connection must end.
func (c *client) handle(m message) bool {
	s := c.s
	if m.fd >= 0 && m.op != opPublish && m.op != opAdopt && m.op != opPidfd {
		c.closer.Close(m.fd)
		return false
	}

	switch m.op {
	case opPublish:
		c.answer(m, c.publish(m))
	case opFetch:
		c.say(message{op: opReply, req: m.req, ok: s.fetch(c, m.id, m.ok), id: m.id, fd: lookUp})
	case opDrop:
		s.drop(c, m.id)
	case opDestroy:
		s.destroy(c, m.id)
	case opTake:
		s.take(c, m.id)
	case opKeep:
		c.answer(m, s.keep(c, m.size, m.id, keepingOf(m)) == nil)
	case opRelease:
		s.release(c, m.size, m.id, m.ok)
	case opAdopt:
		return c.await(m)
	case opPidfd:
		c.adopt(m)
	case opDepart:
		c.depart(m.id)
	default:
		return false
	}
	return true
}

func keepingOf(m message) Keeping {
	switch {
	case m.ok:
		return Owned
	case m.arena:
		return Message
	}
	return Counted
}

func (s *Server) fetch(c *client, id uint64, file bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.grant(c, id, file)
	return err == nil
}

func (c *client) depart(tag uint64) {
	c.s.mu.Lock()
	child := c.children[tag]
	c.s.mu.Unlock()
	if child != nil {
		child.Depart()
	}
}

func (c *client) publish(m message) bool {
	if m.fd < 0 || m.size == 0 && m.arena || m.size > 0 && !isSegment(m.fd, m.size, m.arena) {
		c.closer.Close(m.fd)
		return false
	}

	err := c.s.publish(c, m.id, m.fd, int(m.size), m.arena)
	// Segments that the client has just given up still count.
	if errors.Is(err, errTooMuch) && c.closer.Pending() > 0 {
		c.awaitCloser()
		err = c.s.publish(c, m.id, m.fd, int(m.size), m.arena)
	}
	if err != nil {
		c.closer.Close(m.fd)
	}
	return err == nil
}
