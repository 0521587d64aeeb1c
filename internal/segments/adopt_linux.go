package segments

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/sys"
)

const (
	// maxChildren is the maximum number of clients below one client.
	maxChildren = park.MaxProcs / 2
	// perChild is how many descriptors a child costs.
	perChild = 2
)

// adoptHere serves a child of the root process.
func (s *Server) adoptHere(end, pidfd int, died <-chan struct{}) (*client, error) {
	c := &client{parent: s.root}
	if pidfd >= 0 {
		c.number, _ = sys.NumberOf(pidfd) // on error the child has exited and will adopt no process
		_ = unix.Close(pidfd)
	}
	return c, s.adopt(c, end, died)
}

// await keeps a child's end of a socket until the child's pidfd arrives. If the client may not have
// more descriptors, await closes the end instead. It returns false if the connection must end.
func (c *client) await(m message) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.waiting != nil || c.dead:
		c.closer.Close(m.fd)
		return false
	case m.fd < 0:
	case !isSocket(m.fd) || !s.admitsChild(c) || !s.admits(c, files, perChild):
		c.closer.Close(m.fd)
	default:
		c.waiting = &file{fd: m.fd, refs: 1, payer: c, from: c}
		s.charge(c, perChild)
	}
	return true
}

// refuse gives up a child's end of a socket. The caller must hold s.mu.
func (s *Server) refuse(c *client, end *file) {
	s.charge(c, 1-perChild)
	s.unref(end)
}

// adopt serves a child of the client once its pidfd has arrived.
func (c *client) adopt(m message) {
	s := c.s
	s.mu.Lock()
	end := c.waiting
	c.waiting = nil
	s.mu.Unlock()

	var child *client
	err := errFull
	if end != nil {
		child, err = c.childOf(m.fd)
	}

	if err != nil {
		c.closer.Close(m.fd)
		if end != nil {
			s.mu.Lock()
			s.refuse(c, end)
			s.mu.Unlock()
		}
		c.answer(m, false)
		return
	}

	died := make(chan struct{})
	go func() {
		sys.AwaitDeath(child.pidfd)
		close(died)
	}()

	if err := s.adopt(child, end.fd, died); err != nil {
		_ = child.pidfd.Close()
		c.answer(m, false)
		return
	}
	c.say(message{op: opReply, req: m.req, ok: true, id: child.tag, fd: -1})
}

// childOf returns a client for the process of pidfd, and takes ownership of pidfd unless it returns
// an error. The process must be a child of this client's process, or of the keeper between them.
// Without this check, a client could make any long-lived process occupy a slot, or declare a
// foreign process dead.
func (c *client) childOf(pidfd int) (*client, error) {
	if pidfd < 0 || c.number == 0 {
		return nil, errFull
	}
	number, err := sys.Descends(pidfd, c.number)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return nil, err
	}
	return &client{parent: c, number: number, pidfd: os.NewFile(uintptr(pidfd), "mp-pidfd")}, nil
}
