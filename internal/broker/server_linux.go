package broker

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
)

const (
	// rootSlot is the slot of the root process.
	rootSlot = 1
	// maxSegments is the maximum number of segments of one client.
	maxSegments = 1 << 14
	// maxKeeps is the maximum number of keeps of one client.
	maxKeeps = 1 << 16
)

// A Server is the broker in the root process, which uses it by the methods of
// Directory.
type Server struct {
	bury func(slot int, arenas []uint64) // gives back what a dead process held
	gone func(id uint64)

	mu       sync.Mutex
	mail     *park.Mail
	lot      *park.Lot
	root     *client // this process
	segments map[uint64]*segment
	orphans  map[uint64]*segment // those whose owners are dead
	clients  [park.MaxProcs]*client
	lastTag  uint64
	count    int    // of clients
	files    budget // descriptors
	keeps    budget
	slots    budget // slots of clients' children
	anyID    bool   // a test chooses the numbers of segments
	taken    int    // descriptors that the root process has taken over from clients
}

// NewServer makes the broker of a root process. When a client has died, the server calls bury, which must give
// back what it held in the arenas that it had. The server calls gone with the number of a segment that the root
// has fetched when the owner destroys it; and with 0 when a client has died, or when no living process has what
// a dead one has left.
func NewServer(bury func(slot int, arenas []uint64), gone func(id uint64)) (*Server, error) {
	mail, err := park.NewMail()
	if err != nil {
		return nil, err
	}
	mail.Occupy(rootSlot)
	s := &Server{
		bury: bury, gone: gone, mail: mail, lot: park.NewLot(mail, rootSlot),
		segments: map[uint64]*segment{}, orphans: map[uint64]*segment{},
		files: fileBudget(),
		keeps: budget{most: 1 << 18, reserve: 1 << 16, sure: 256},
		slots: budget{most: park.MaxProcs - 2, reserve: 64},
	}
	s.root = &client{s: s, slot: rootSlot}
	return s, nil
}

// fileBudget returns how many of this process's descriptors clients may use.
func fileBudget() budget {
	most := 1 << 18
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < 1<<19 {
		most = int(limit.Cur / 2)
	}
	return budget{most: most, reserve: most / 4, sure: min(max(most/128, 4), 64)}
}

// Close ends a server that is Idle.
func (s *Server) Close() { _ = s.mail.Close() }

// Idle reports whether there are neither segments nor clients.
func (s *Server) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments) == 0 && s.count == 0
}

// Lot is Directory's.
func (s *Server) Lot() *park.Lot { return s.lot }

// Tag is Directory's.
func (s *Server) Tag() uint64 { return s.root.tag }

// Publish is Directory's.
func (s *Server) Publish(id uint64, fd int, size int, arena bool) error {
	return s.publish(s.root, id, fd, size, arena)
}

var (
	errTaken     = errors.New("a segment with that number exists, or the number is another process's")
	errTooMuch   = errors.New("too many segments")
	errTooManyOf = errors.New("too many messages that need other segments")
)

func (s *Server) publish(c *client, id uint64, fd, size int, arena bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.dead:
		return ErrGone
	case s.segments[id] != nil || id>>(64-TagBits) != c.tag && !s.anyID:
		return errTaken
	case c != s.root && (c.files >= maxSegments || !s.files.admits(c.files, 1)):
		return errTooMuch
	}
	f := &file{fd: fd, refs: 1, payer: c, from: c}
	s.charge(c, 1)
	s.segments[id] = &segment{id: id, file: f, size: size, arena: arena, owner: c, by: c, holders: map[*client]bool{}}
	return nil
}

// Fetch is Directory's.
func (s *Server) Fetch(id uint64) (Segment, error) { return s.fetchHere(id, false) }

// FetchFile is Directory's.
func (s *Server) FetchFile(id uint64) (int, error) {
	g, err := s.fetchHere(id, true)
	return g.FD, err
}

func (s *Server) fetchHere(id uint64, file bool) (Segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.grant(s.root, id, file)
	if err != nil {
		return Segment{FD: -1}, err
	}
	fd, err := unix.FcntlInt(uintptr(g.file.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		g.release(s.root)
	}
	return Segment{fd, g.size, g.arena}, err
}

// grant gives a client a segment; under the lock.
func (s *Server) grant(c *client, id uint64, file bool) (*segment, error) {
	g := s.segments[id]
	if g == nil || file != (g.size == 0) || c.dead {
		return nil, ErrGone
	}
	if c != g.owner {
		g.hold(c)
	}
	return g, nil
}

// Drop is Directory's.
func (s *Server) Drop(id uint64) { s.drop(s.root, id) }

func (s *Server) drop(c *client, id uint64) {
	s.mu.Lock()
	g := s.segments[id]
	left := false
	if g != nil {
		g.release(c)
		s.forgetIfUnused(g)
		left = !g.had() && len(g.keptBy) > 0
	}
	s.mu.Unlock()
	if left {
		s.gone(0) // perhaps for nothing
	}
}

// forgetIfUnused forgets a segment that no living process has, unless its handle may
// still be on its way; under the lock.
func (s *Server) forgetIfUnused(g *segment) {
	if !g.had() && len(g.keptBy) == 0 {
		s.remove(g)
	}
}

// remove removes a segment, unless that has been done, and lets go of what it carries; under the
// lock.
func (s *Server) remove(g *segment) {
	if s.segments[g.id] != g { // it was carried by what was removed before
		return
	}
	delete(s.segments, g.id)
	delete(s.orphans, g.id)
	s.unref(g.file)
	for carrier, k := range g.keptBy {
		s.uncount(k)
		if c := s.segments[carrier]; c != nil {
			delete(c.carries, g.id)
		}
	}
	for carried := range g.carries {
		if o := s.segments[carried]; o != nil {
			s.uncount(o.keptBy[g.id])
			delete(o.keptBy, g.id)
			s.forgetIfUnused(o)
		}
	}
}

// Destroy is Directory's.
func (s *Server) Destroy(id uint64) { s.destroy(s.root, id) }

func (s *Server) destroy(c *client, id uint64) {
	s.mu.Lock()
	g := s.segments[id]
	if g == nil || g.owner != c {
		s.mu.Unlock()
		s.drop(c, id)
		return
	}
	ours := s.removeForAll(g)
	s.mu.Unlock()
	if ours {
		s.gone(id)
	}
}

// removeForAll removes a segment, tells all who have it, and reports whether the root is
// one of them; under the lock.
func (s *Server) removeForAll(g *segment) (ours bool) {
	s.remove(g)
	for c, has := range g.holders {
		if has && c != s.root {
			c.say(message{op: opGone, id: g.id, fd: -1})
		}
	}
	return g.holders[s.root]
}

// Take is Directory's.
func (s *Server) Take(id uint64) { s.take(s.root, id) }

func (s *Server) take(c *client, id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[id]
	switch {
	case g == nil || c.dead:
		return
	case g.estate != nil && g.estate.parent == c:
		delete(g.awaited, g.estate)
		g.estate = nil
	case g.owner != nil && g.owner.parent == c:
		g.hold(g.owner)
	default:
		return
	}
	g.owner = c
	delete(s.orphans, id)
	if g.holders[c] {
		g.has--
	}
	delete(g.holders, c)
	s.pay(g.file, c)
}

// Adopt is Directory's.
func (s *Server) Adopt(end, pidfd int, died <-chan struct{}) (Child, error) {
	c, err := s.adoptHere(end, pidfd, died)
	if err != nil {
		return nil, err
	}
	return c, nil
}
