package segments

import (
	"errors"
	"sync"
	"time"

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

// A Server is the broker in the root process, which uses it through the methods of Directory.
type Server struct {
	reap func(slot int, arenas []uint64) // releases what a dead process held
	gone func(id uint64)

	mu        sync.Mutex
	mailboxes *park.Mailboxes
	table     *park.WaitTable
	root      *client // this process
	segments  map[uint64]*segment
	orphans   map[uint64]*segment // segments whose owners are dead
	unheld    int                 // number of orphans that no living process has
	removed   []*segment          // segments to unlink
	trace     *trace              // for cycles; nil if none is in progress
	clients   [park.MaxProcs]*client
	lastTag   uint64
	count     int    // of clients
	files     budget // descriptors
	keeps     budget
	holds     budget
	slots     budget // slots of clients' children
	anyID     bool   // set by tests that choose the numbers of segments
	stepSize  int    // defaultStep, except in tests

	lastFetch time.Duration // lastFetch, except in tests
	paused    func()        // for tests: called in each pause
	taken     int           // descriptors that the root process has taken over from clients
}

// NewServer creates the broker of a root process.
//
// When a client has died, the server calls reap, which must release what the client held in the
// arenas that it had. The server calls gone with the number of a segment that the root has fetched
// when the owner destroys the segment, and with the number of a segment that the root has published
// for a message when the message ends. It calls gone with 0 when a client has died, or when no
// living process has what a dead client has left.
func NewServer(reap func(slot int, arenas []uint64), gone func(id uint64)) (*Server, error) {
	mailboxes, err := park.NewMailboxes()
	if err != nil {
		return nil, err
	}

	mailboxes.Occupy(rootSlot)
	s := &Server{
		reap: reap, gone: gone, mailboxes: mailboxes, table: park.NewWaitTable(mailboxes, rootSlot),
		segments: map[uint64]*segment{}, orphans: map[uint64]*segment{},
		files:    fileBudget(),
		keeps:    budget{most: 1 << 18, reserve: 1 << 16, sure: 256},
		holds:    budget{most: 1 << 21, reserve: 1 << 19, sure: 1 << 10},
		slots:    budget{most: park.MaxProcs - 2, reserve: 64},
		stepSize: defaultStep, lastFetch: lastFetch,
	}
	s.root = &client{s: s, slot: rootSlot}

	return s, nil
}

// fileBudget returns the budget for descriptors of this process.
func fileBudget() budget {
	most := 1 << 18
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < 1<<19 {
		most = int(limit.Cur / 2)
	}
	return budget{most: most, reserve: most / 4, sure: min(max(most/128, 4), 64)}
}

// Close releases the server's resources. The server must be Idle.
func (s *Server) Close() { _ = s.mailboxes.Close() }

// Idle reports whether there are neither segments nor clients.
func (s *Server) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments) == 0 && s.count == 0
}

// WaitTable implements Directory.
func (s *Server) WaitTable() *park.WaitTable { return s.table }

// Tag implements Directory.
func (s *Server) Tag() uint64 { return s.root.tag }

// Publish implements Directory.
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
	case c != s.root && (c.files >= maxSegments || !s.admits(c, files, 1)):
		return errTooMuch
	}

	f := &file{fd: fd, refs: 1, payer: c, from: c}
	s.charge(c, 1)
	g := &segment{id: id, file: f, size: size, arena: arena, owner: c, by: c, holders: map[*client]bool{}}

	s.segments[id] = g
	c.segments.put(g, struct{}{})
	return nil
}

// Fetch implements Directory.
func (s *Server) Fetch(id uint64) (Segment, error) { return s.fetchHere(id, false) }

// FetchFile implements Directory.
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
		s.dropHolder(g, s.root)
	}
	return Segment{fd, g.size, g.arena}, err
}

// grant gives a segment to a client. The caller must hold s.mu.
func (s *Server) grant(c *client, id uint64, file bool) (*segment, error) {
	g := s.segments[id]
	if g == nil || file != (g.size == 0) || c.dead {
		return nil, ErrGone
	}
	if c != g.owner {
		if !g.knownTo(c) && c != s.root && !s.admits(c, holds, 1) {
			return nil, errTooMuch
		}
		s.addHolder(g, c)
		s.reach(g)
	}
	return g, nil
}

// Drop implements Directory.
func (s *Server) Drop(id uint64) { s.drop(s.root, id) }

func (s *Server) drop(c *client, id uint64) {
	s.mu.Lock()
	g := s.segments[id]
	left := false
	if g != nil {
		had := s.dropHolder(g, c) // a client may call Drop again and again
		s.forgetIfUnused(g)
		left = had && !g.had() && len(g.keptBy.m) > 0
		s.unlink()
		s.cut()
	}
	s.mu.Unlock()
	if left {
		s.gone(0) // this may be unnecessary
	}
}

// forgetIfUnused removes a segment that no living process has, unless its handle may still be in
// transit. The caller must hold s.mu.
func (s *Server) forgetIfUnused(g *segment) {
	if !g.had() && len(g.keptBy.m) == 0 {
		s.remove(g)
	}
}

// remove removes a segment that has not been removed before. The caller must hold s.mu, and must
// call unlink before it returns.
func (s *Server) remove(g *segment) {
	if s.segments[g.id] != g {
		return
	}
	delete(s.segments, g.id)
	delete(s.orphans, g.id)
	s.countUnheld(g)

	s.unref(g.file)
	for c := range g.holders { // the holders stay in the map, for removeForAll
		c.segments.drop(g)
		s.use(c, holds, -1)
	}
	if g.owner != nil {
		g.owner.segments.drop(g)
	}
	for c := range g.awaited {
		s.unawait(g, c)
	}
	s.removed = append(s.removed, g)
}

// unlink releases the links between removed segments and their carriers, and between removed
// segments and what they carry. It also removes and unlinks segments that this leaves unused. The
// caller must hold s.mu, which unlink releases between steps. When it returns, nothing is left to
// unlink, even if several goroutines call it.
func (s *Server) unlink() {
	var n step
	for len(s.removed) > 0 {
		g := s.removed[len(s.removed)-1]
		switch {
		case len(g.keptBy.m) > 0:
			carrier, k := g.keptBy.any()
			s.uncount(k)
			g.keptBy.drop(carrier)
			carrier.carries.drop(g)

		case len(g.carries.m) > 0:
			carried, _ := g.carries.any()
			k := carried.keptBy.m[g]
			s.uncount(k)
			carried.keptBy.drop(g)
			g.carries.drop(carried)
			s.uncarried(carried, k)

		default:
			s.removed[len(s.removed)-1] = nil
			s.removed = s.removed[:len(s.removed)-1]
		}
		s.pause(&n)
	}
	s.removed = nil
}

// uncarried forgets a segment whose carrier is gone if nothing else needs it. A segment that was
// published for a message in that carrier ends some time later, because a process that took the
// message just before may be about to fetch it. The caller must hold s.mu, and must call unlink.
func (s *Server) uncarried(g *segment, k keep) {
	s.forgetIfUnused(g)
	if k.ends == 0 || g.size == 0 || s.segments[g.id] != g {
		return
	}

	time.AfterFunc(s.lastFetch, func() {
		s.mu.Lock()
		ours := false
		if len(g.keptBy.m) == 0 {
			ours = s.endMessage(g)
			s.unlink()
		}
		s.mu.Unlock()
		if ours {
			s.gone(g.id)
		}
	})
}

// lastFetch is how long a message lives on after its carrier.
const lastFetch = time.Second

// Destroy implements Directory.
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
	s.unlink()
	s.mu.Unlock()
	if ours {
		s.gone(id)
	}
}

// removeForAll removes a segment and tells all clients that have it. It reports whether the root
// has it. The caller must hold s.mu, and must call unlink before it returns.
func (s *Server) removeForAll(g *segment) (ours bool) {
	s.remove(g)
	for c, has := range g.holders {
		if has && c != s.root {
			c.say(message{op: opGone, id: g.id, fd: -1})
		}
	}
	return g.holders[s.root]
}

// Take implements Directory.
func (s *Server) Take(id uint64) { s.take(s.root, id) }

func (s *Server) take(c *client, id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[id]
	switch {
	case g == nil || c.dead:
		return
	case g.deadOwner != nil && g.deadOwner.parent == c:
		s.unawait(g, g.deadOwner)
		g.deadOwner = nil
	case g.owner != nil && g.owner.parent == c:
		s.addHolder(g, g.owner)
	default:
		return
	}

	g.owner = c
	delete(s.orphans, id)
	if g.holders[c] {
		g.has--
	}

	s.removeHolder(g, c)
	c.segments.put(g, struct{}{})
	s.countUnheld(g)
	s.reach(g)
	s.pay(g.file, c)
}

// Adopt implements Directory.
func (s *Server) Adopt(end, pidfd int, died <-chan struct{}) (Child, error) {
	c, err := s.adoptHere(end, pidfd, died)
	if err != nil {
		return nil, err
	}
	return c, nil
}
