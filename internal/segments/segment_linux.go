package segments

import (
	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// A segment is memory or a file that other processes may fetch. The server's lock guards its
// fields.
type segment struct {
	id        uint64
	file      *file
	size      int // 0 for a file
	arena     bool
	owner     *client               // nil if the owner is dead
	by        *client               // the client that published it
	deadOwner *client               // the dead owner, whose parent may take the segment
	awaited   map[*client]struct{}  // dead clients whose unread messages may need it
	holders   map[*client]bool      // clients other than the owner: true if they have it, false if they had it
	has       int                   // number of holders that have it
	unheld    bool                  // counted in Server.left
	keptBy    table[*segment, keep] // by carrier
	carries   table[*segment, struct{}]
}

// had reports whether a living process has a segment, or a handle to it may be in transit to a
// living process.
func (g *segment) had() bool { return g.owner != nil || g.has > 0 || len(g.awaited) > 0 }

// knownTo reports whether a client has, or had, a segment.
func (g *segment) knownTo(c *client) bool {
	_, ok := g.holders[c]
	return ok || g.owner == c
}

// addHolder records that a client has a segment. The caller must hold s.mu.
func (s *Server) addHolder(g *segment, c *client) {
	if !g.holders[c] {
		if _, known := g.holders[c]; !known {
			s.use(c, holds, 1)
		}
		g.holders[c] = true
		g.has++
		c.segments.put(g, struct{}{})
		s.countUnheld(g)
	}
}

// dropHolder records that a client no longer has a segment, and reports whether the client had it.
// For an arena, dropHolder remembers that the client had it, because the client may hold locks in
// the arena, or messages that it has taken from there. The caller must hold s.mu.
func (s *Server) dropHolder(g *segment, c *client) (had bool) {
	if had = g.holders[c]; had {
		g.holders[c] = false
		g.has--
		s.countUnheld(g)
	}
	if !g.arena {
		s.removeHolder(g, c)
		if g.owner != c {
			c.segments.drop(g)
		}
	}
	return had
}

// removeHolder forgets that a client, which is not the owner, has fetched a segment. The caller
// must hold s.mu.
func (s *Server) removeHolder(g *segment, c *client) {
	if _, known := g.holders[c]; known {
		delete(g.holders, c)
		s.use(c, holds, -1)
	}
}

// await records that messages of a dead client may need a segment. The caller must hold s.mu.
func (s *Server) await(g *segment, c *client) {
	if g.awaited == nil {
		g.awaited = map[*client]struct{}{}
	}
	g.awaited[c] = struct{}{}
	c.awaits.put(g, struct{}{})
	s.use(c, holds, 1)
}

// unawait undoes await. It reports whether there was anything to undo. The caller must hold s.mu.
func (s *Server) unawait(g *segment, c *client) bool {
	if _, ok := g.awaited[c]; !ok {
		return false
	}
	delete(g.awaited, c)
	c.awaits.drop(g)
	s.use(c, holds, -1)
	return true
}

// A file is a descriptor in this process. It counts for a client until it is closed. The client
// that published the file may delay the close.
type file struct {
	fd    int
	refs  int     // guarded by the server's lock
	payer *client // the client that it counts for
	from  *client // the publisher; a slow close delays only other descriptors from that client
	taken bool    // by the root process
}

// unref drops a reference, and starts to close the descriptor if it was the last one. It does not
// block. The caller must hold s.mu.
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

// charge counts descriptors for a client. The caller must hold s.mu.
func (s *Server) charge(c *client, n int) {
	c.files += n
	s.use(c, files, n)
}

// pay charges a descriptor to the client that has taken over its segment, if that client's budget
// allows it. The caller must hold s.mu.
func (s *Server) pay(f *file, c *client) {
	if c == s.root && s.taken >= s.files.most/2 || c != s.root && !s.admits(c, files, 1) {
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

// isSegment reports whether a descriptor is memory of the given size, so that no operation on it
// blocks. It does nothing else with the descriptor until it knows that.
func isSegment(fd int, size uint64, sealed bool) bool {
	if !shm.Anonymous(fd) || sealed && !shm.Sealed(fd) {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Size > 0 && uint64(st.Size) == size
}
