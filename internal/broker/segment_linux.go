package broker

import (
	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// segment is one that others may fetch, or a file. Its fields are under the server's lock.
type segment struct {
	id      uint64
	file    *file
	size    int // of a file 0
	arena   bool
	owner   *client              // nil: dead
	by      *client              // published it
	estate  *client              // left it when it died; its parent may take it
	awaited map[*client]struct{} // the dead that had it, and of which something may still be read
	holders map[*client]bool     // others that have it, or, with false, had it
	has     int                  // of holders
	keptBy  map[uint64]keep      // by carrier
	carries map[uint64]struct{}
}

// had reports whether a living process has a segment, or its handle may be on its way to one.
func (g *segment) had() bool { return g.owner != nil || g.has > 0 || len(g.awaited) > 0 }

// met reports whether a client has a segment, or had it.
func (g *segment) met(c *client) bool {
	_, ok := g.holders[c]
	return ok || g.owner == c
}

// hold says that a client has a segment.
func (g *segment) hold(c *client) {
	if !g.holders[c] {
		g.holders[c] = true
		g.has++
	}
}

// release says that a client does not have a segment any more. One that had an arena may have left
// locks there, and messages that it has taken.
func (g *segment) release(c *client) {
	if g.holders[c] {
		g.holders[c] = false
		g.has--
	}
	if !g.arena {
		delete(g.holders, c)
	}
}

// file is a descriptor in this process. It counts for the client that has published it until it is
// closed, which that client may delay.
type file struct {
	fd    int
	refs  int // under the server's lock
	payer *client
	from  *client // published it; if to close it takes long, only what else came from there waits
	taken bool    // by the root process
}

// unref closes a descriptor that nothing needs any more; under the lock, for which the closing does
// not wait.
func (s *Server) unref(f *file) {
	f.refs--
	if f.refs > 0 {
		return
	}
	f.from.closer.CloseThen(f.fd, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.charge(f.payer, -1)
		if f.taken {
			s.taken--
		}
	})
}

// charge counts descriptors for a client; under the lock.
func (s *Server) charge(c *client, n int) {
	c.files += n
	if c != s.root {
		s.files.used += n
	}
}

// pay transfers the cost of a descriptor to the client that has taken it over, if that may have so
// many; under the lock.
func (s *Server) pay(f *file, c *client) {
	if c == s.root && s.taken >= s.files.most/2 || c != s.root && !s.files.admits(c.files, 1) {
		return
	}
	s.charge(f.payer, -1)
	f.payer = c
	s.charge(c, 1)
	if c == s.root {
		f.taken = true
		s.taken++
	}
}

// isSegment reports whether a descriptor is memory of a size: so nothing that is done with it waits
// for anybody. It does not touch the file before it knows that.
func isSegment(fd int, size uint64, sealed bool) bool {
	if !shm.Anonymous(fd) || sealed && !shm.Sealed(fd) {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Size > 0 && uint64(st.Size) == size
}
