package broker

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/park"
)

// rootSlot is the slot of the root process.
const rootSlot = 1

// maxSegments is how many segments of one client are kept here.
const maxSegments = 1 << 14

// A Server is the broker in the root process, which uses it by the methods of
// Directory.
type Server struct {
	bury func(slot int) // gives back what a dead process held
	gone func(id uint64)

	mu       sync.Mutex
	mail     *park.Mail
	lot      *park.Lot
	segments map[uint64]*segment
	orphans  map[uint64]*segment // those whose owners are dead
	clients  [park.MaxProcs]*client
	count    int                // of clients
	owned    [park.MaxProcs]int // segments, by slot
	most     int                // segments of all clients
}

// segment is one that others may fetch.
type segment struct {
	fd, size int
	arena    bool
	owner    int                  // slot; 0: dead
	by       *client              // who published it; nil: the root
	estate   *client              // who left it when it died, and whose parent may take it
	awaited  map[*client]struct{} // the dead that had it, and of which something may still be read
	holders  map[int]bool         // slots of others that have it
	keptBy   map[uint64]keep      // by carrier
	carries  map[uint64]struct{}
}

// NewServer makes the broker of a root process. When a client has died, bury gives back
// what it held, and when the owner of a segment that the root has fetched has destroyed
// it, gone is called; with 0 when a client has died, or nobody has what a dead one has left.
func NewServer(bury func(slot int), gone func(id uint64)) (*Server, error) {
	mail, err := park.NewMail()
	if err != nil {
		return nil, err
	}
	mail.Occupy(rootSlot)
	return &Server{bury: bury, gone: gone, mail: mail, lot: park.NewLot(mail, rootSlot), segments: map[uint64]*segment{}, orphans: map[uint64]*segment{}, most: fileBudget()}, nil
}

// fileBudget is how many of this process's descriptors may be clients' segments.
func fileBudget() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<20 {
		return 1 << 18
	}
	return int(limit.Cur / 4)
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

// Publish is Directory's.
func (s *Server) Publish(id uint64, fd int, size int, arena bool) error {
	return s.publish(id, &segment{fd: fd, size: size, arena: arena, owner: rootSlot})
}

func (s *Server) publish(id uint64, g *segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.segments[id] != nil {
		return errors.New("a segment with that number exists")
	}
	if g.owner != rootSlot && (s.owned[g.owner] >= maxSegments || len(s.segments)-s.owned[rootSlot] >= s.most) {
		return errors.New("too many segments")
	}
	g.holders = map[int]bool{}
	s.segments[id] = g
	s.owned[g.owner]++
	return nil
}

// Fetch is Directory's.
func (s *Server) Fetch(id uint64) (Segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.fetch(id, rootSlot)
	if err != nil {
		return Segment{}, err
	}
	fd, err := unix.FcntlInt(uintptr(g.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		delete(g.holders, rootSlot)
	}
	return Segment{fd, g.size, g.arena}, err
}

func (s *Server) fetch(id uint64, slot int) (*segment, error) {
	g := s.segments[id]
	if g == nil {
		return nil, ErrGone
	}
	if slot != g.owner {
		g.holders[slot] = true
	}
	return g, nil
}

// Drop is Directory's.
func (s *Server) Drop(id uint64) { s.drop(id, rootSlot) }

func (s *Server) drop(id uint64, slot int) {
	s.mu.Lock()
	g := s.segments[id]
	left := false
	if g != nil {
		delete(g.holders, slot)
		s.forgetIfUnused(id, g)
		left = !g.had() && len(g.keptBy) > 0
	}
	s.mu.Unlock()
	if left {
		s.gone(0) // perhaps for nothing
	}
}

// forgetIfUnused forgets a segment that no living process has, unless its handle may
// still be on its way; under the lock.
func (s *Server) forgetIfUnused(id uint64, g *segment) {
	if !g.had() && len(g.keptBy) == 0 {
		s.remove(id, g)
	}
}

// had reports whether a living process has a segment, or its handle may be on its way to one.
func (g *segment) had() bool { return g.owner != 0 || len(g.holders) > 0 || len(g.awaited) > 0 }

// remove removes a segment, unless that has been done, and lets go of what it carries; under the
// lock.
func (s *Server) remove(id uint64, g *segment) {
	if s.segments[id] != g { // it was carried by what was removed before
		return
	}
	_ = unix.Close(g.fd)
	delete(s.segments, id)
	delete(s.orphans, id)
	s.owned[g.owner]--
	for carrier := range g.keptBy {
		if c := s.segments[carrier]; c != nil {
			delete(c.carries, id)
		}
	}
	for carried := range g.carries {
		if o := s.segments[carried]; o != nil {
			delete(o.keptBy, id)
			s.forgetIfUnused(carried, o)
		}
	}
}

// Destroy is Directory's.
func (s *Server) Destroy(id uint64) { s.destroy(id, rootSlot) }

func (s *Server) destroy(id uint64, slot int) {
	s.mu.Lock()
	g := s.segments[id]
	if g == nil || g.owner != slot {
		s.mu.Unlock()
		return
	}
	ours := s.removeForAll(id, g)
	s.mu.Unlock()
	if ours {
		s.gone(id)
	}
}

// removeForAll removes a segment, tells all who have it, and reports whether the root is
// one of them; under the lock.
func (s *Server) removeForAll(id uint64, g *segment) (ours bool) {
	s.remove(id, g)
	for holder := range g.holders {
		if c := s.clients[holder]; c != nil {
			c.say(message{op: opGone, id: id, fd: -1})
		}
	}
	return g.holders[rootSlot]
}

// Take is Directory's.
func (s *Server) Take(id uint64) { s.take(id, rootSlot) }

func (s *Server) take(id uint64, slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[id]
	switch {
	case g == nil:
	case g.estate != nil && g.estate.parent == slot:
		delete(g.awaited, g.estate)
		g.estate = nil
	case g.owner > 0 && s.clients[g.owner] != nil && s.clients[g.owner].parent == slot:
		g.holders[g.owner] = true
	default:
		return
	}
	if g != nil {
		s.owned[g.owner]--
		s.owned[slot]++
		g.owner = slot
		delete(s.orphans, id)
		delete(g.holders, slot)
	}
}

// inherit sees to what a dead client had; under the lock.
func (s *Server) inherit(c *client) {
	for id, g := range s.segments {
		await := g.holders[c.slot] && !c.departed
		delete(g.holders, c.slot)
		if g.owner == c.slot {
			s.owned[g.owner]--
			s.owned[0]++
			g.owner = 0
			s.orphans[id] = g
			if await = !c.departed; await {
				g.estate = c
			}
		}
		if await {
			if g.awaited == nil {
				g.awaited = map[*client]struct{}{}
			}
			g.awaited[c] = struct{}{}
		}
		s.forgetIfUnused(id, g)
	}
}

// settle forgets what is left of a dead client; under the lock.
func (s *Server) settle(c *client) {
	for id, g := range s.segments {
		if _, ok := g.awaited[c]; !ok {
			continue
		}
		delete(g.awaited, c)
		if g.estate == c {
			g.estate = nil
		}
		s.forgetIfUnused(id, g)
	}
}

// Adopt is Directory's.
func (s *Server) Adopt(end, pidfd int, died <-chan struct{}) (Child, error) {
	if pidfd >= 0 {
		_ = unix.Close(pidfd)
	}
	return s.adopt(end, rootSlot, died)
}

// EachArena calls f for the arenas of all processes.
func (s *Server) EachArena(f func(id uint64, fd, size int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, g := range s.segments {
		if g.arena {
			f(id, g.fd, g.size)
		}
	}
}
