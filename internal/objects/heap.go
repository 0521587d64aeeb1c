package objects

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

const (
	arenaSize      = 1 << 20
	largeArenaSize = 16 << 20 // of an arena for a single object that is too large for other arenas
	line           = 64
	// largest is the maximum size of a data object in an arena.
	largest = 32 << 10
	// maxEmptyArena is how long an arena without live objects waits for a new object.
	maxEmptyArena = 10 * time.Millisecond
)

var (
	arenas      = shm.Range{Size: arenaSize}
	largeArenas = shm.Range{Size: largeArenaSize}
)

// rangeOf returns the Range for arenas of the given size.
func rangeOf(size int) *shm.Range {
	if size == largeArenaSize {
		return &largeArenas
	}
	return &arenas
}

// firstLineOf returns the first line of an arena that objects may use. It follows the bytes that
// say what begins where.
func firstLineOf(size int) int { return size / line / line }

// BeforeInit is true in a worker until SetParent is called. Objects that a worker created before
// that would not exist in any other process.
var BeforeInit bool

// heap is the shared memory of this process.
type heap struct {
	mu          sync.Mutex
	dir         segments.Directory
	table       *park.WaitTable
	segments    map[uint64]*segment
	current     *segment // the arena that is being filled
	gen         uint32   // of the last object
	idle        *time.Timer
	late        []*segment // to unmap when the running task has ended
	sweeper     sweeper
	reapPending atomic.Bool // a goroutine is about to clean up after dead processes
	reaping     sync.Mutex  // lets reap clean up after one dead process at a time
	foreign     foreign
}

// Generations start at a random number. A handle to an object that ended long ago may refer to
// memory that now belongs to another process's object; the different generation tells the two
// objects apart.
var here = heap{segments: map[uint64]*segment{}, gen: uint32(random())}

// A segment is shared memory that this process has mapped.
type segment struct {
	id         uint64
	own        bool // by this process
	fd         int  // -1 once the segment is published
	mem        []byte
	arena      bool
	published  bool
	next       int              // line for the next object, in an arena of this process
	live       int              // objects that this process has
	views      int              // pins
	given      map[int]struct{} // first lines of objects in an arena of this process that this process does not own
	shrinkable bool             // another process could shrink it
	gone       atomic.Bool
}

// give records that this process does not own an object in its arena.
func (s *segment) give(line int) {
	if s.given == nil {
		s.given = map[int]struct{}{}
	}
	s.given[line] = struct{}{}
}

// othersHave reports whether the arena still contains an object that this process does not own. It
// uses the bytes that say what begins where, and not a counter, because a process that dies while
// it ends an object would leave a counter wrong.
func (s *segment) othersHave() bool {
	for line := range s.given {
		if xsync.Kind(s.mem[line]) != xsync.KindNone {
			return true
		}
		delete(s.given, line)
	}
	return false
}

// ErrTooLarge is returned for an object that is too large for an arena.
var ErrTooLarge = errors.New("mp: too large for an object that is looked after: at most 512 KiB")

// newID returns a new segment number, which no other process can guess. The caller must hold h.mu,
// and h.dir must be set.
func (h *heap) newID() uint64 { return random()>>segments.TagBits | h.dir.Tag()<<(64-segments.TagBits) }

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// alloc finds room for an object. The caller must hold h.mu.
func (h *heap) alloc(kind xsync.Kind, size int, alone bool) (s *segment, off int, err error) {
	if err := h.begin(); err != nil {
		return nil, 0, err
	}
	defer h.end() // if an error follows
	switch {
	case kind == xsync.KindData && (size > largest || alone):
		s, err = h.segment(size)
		return s, 0, err
	case size > xsync.RingSize+xsync.RingMax || size > arenaSize/2 && !spacious(kind):
		return nil, 0, ErrTooLarge
	case size > arenaSize/2:
		s, err = h.arena(largeArenaSize)
	case alone:
		s, err = h.arena(arenaSize)
	default:
		s, err = h.arenaFor(size)
	}

	if err != nil {
		return nil, 0, err
	}

	off = s.next * line
	s.next += (size + line - 1) / line
	s.live++
	return s, off, nil
}

// spacious reports whether objects of kind k may be larger than half of an arena.
func spacious(k xsync.Kind) bool { return k == xsync.KindRing || k == xsync.KindPipe }

// arenaFor returns the arena that is being filled, or a new one if that has no room.
func (h *heap) arenaFor(size int) (*segment, error) {
	if s := h.current; s != nil && s.next*line+size <= arenaSize {
		return s, nil
	}
	s, err := h.arena(arenaSize)
	if err != nil {
		return nil, err
	}
	h.current = s
	h.retireEmpty() // not earlier: without any segment, the broker would end
	return s, nil
}

// retireEmpty retires arenas whose last objects other processes have ended.
func (h *heap) retireEmpty() {
	for _, s := range h.segments {
		if s.arena && s.own && s != h.current {
			h.retireIfEmpty(s)
		}
	}
}

func (h *heap) arena(size int) (*segment, error) {
	fd, first, err := shm.New("mp-arena", size)
	if err != nil {
		return nil, err
	}
	_ = shm.Unmap(first)
	mem, err := rangeOf(size).Map(fd)
	if err != nil {
		shm.CloseFD(fd)
		return nil, err
	}
	s := &segment{id: h.newID(), own: true, fd: fd, mem: mem, arena: true, next: firstLineOf(size)}
	h.segments[s.id] = s
	return s, nil
}

// segment creates a segment for a single object.
func (h *heap) segment(size int) (*segment, error) {
	fd, mem, err := shm.New("mp-data", size)
	if err != nil {
		return nil, err
	}
	s := &segment{id: h.newID(), own: true, fd: fd, mem: mem, live: 1}
	h.segments[s.id] = s
	return s, nil
}

// publish lets other processes attach the objects of a segment. The caller must hold h.mu.
func (h *heap) publish(s *segment) error {
	if s.published || !s.own {
		return nil
	}
	if err := h.dir.Publish(s.id, s.fd, len(s.mem), s.arena); err != nil {
		return err
	}
	s.published, s.fd = true, -1
	return nil
}

// fetch returns a segment, which may be another process's. The caller must hold h.mu.
func (h *heap) fetch(id uint64) (*segment, error) {
	if err := h.begin(); err != nil {
		return nil, err
	}
	if s := h.segments[id]; s != nil {
		if s.gone.Load() {
			return nil, segments.ErrGone
		}
		return s, nil
	}

	defer h.end() // if an error follows
	f, err := h.dir.Fetch(id)
	if err != nil {
		return nil, err
	}
	defer shm.CloseFD(f.FD)
	s := &segment{id: id, fd: -1, arena: f.Arena, shrinkable: !shm.Sealed(f.FD)}
	if s.arena && s.shrinkable {
		h.dir.Drop(id)
		return nil, errNoToken
	}
	if err := h.foreign.add(id, f.Size); err != nil {
		h.dir.Drop(id)
		return nil, err
	}

	if f.Arena {
		s.mem, err = rangeOf(f.Size).Map(f.FD)
	} else {
		s.mem, err = shm.Map(f.FD, f.Size)
	}
	if err != nil {
		h.foreign.remove(id, f.Size)
		h.dir.Drop(id)
		return nil, err
	}

	h.segments[id] = s
	return s, nil
}

// free forgets one object of a segment. The caller must hold h.mu.
func (h *heap) free(s *segment) {
	s.live--
	if s == h.current && s.live == 0 {
		if h.idle == nil {
			h.idle = time.AfterFunc(maxEmptyArena, h.endIdle)
		} else {
			h.idle.Reset(maxEmptyArena)
		}
		return
	}
	h.retireIfEmpty(s)
}

func (h *heap) endIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.current; s != nil && s.live == 0 {
		h.current = nil
		h.retireIfEmpty(s)
	}
}

// retireIfEmpty releases a segment that is no longer in use. The caller must hold h.mu.
func (h *heap) retireIfEmpty(s *segment) {
	switch {
	case s.live > 0 || s.views > 0 || s.othersHave():
		return
	case s.gone.Load():
	case !s.own:
		h.dir.Drop(s.id)
	case s.published:
		h.dir.Destroy(s.id)
	}
	h.unmap(s)
}

func (h *heap) unmap(s *segment) {
	if h.segments[s.id] != s {
		return
	}

	delete(h.segments, s.id)
	if !s.own {
		h.foreign.remove(s.id, len(s.mem))
	}
	if s.fd >= 0 {
		shm.CloseFD(s.fd)
	}

	if s.arena {
		_ = rangeOf(len(s.mem)).Retire(s.mem)
	} else {
		_ = shm.Unmap(s.mem)
	}
	h.end()
}

// lost is called when the owner of a segment has destroyed it. Memory that a running task uses
// stays until the task has ended. If id is 0, lost cleans up after a process that has died.
func (h *heap) lost(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id == 0 {
		h.reapPending.Store(false)
	}

	s := h.segments[id]
	if s == nil || s.gone.Swap(true) {
		h.retireEmpty() // a dead process may have ended objects in arenas of this one
		h.sweepSoon()
		h.end()
		return
	}

	h.late = append(h.late, s)
	waiting.Add(1)
	if !inTask.Load() {
		h.dropLate()
	}
}

// dropLate unmaps destroyed segments, except those that are pinned. In a process that does not
// report when its tasks end, slices of other segments may be in use, so dropLate unmaps only
// arenas. The caller must hold h.mu.
func (h *heap) dropLate() {
	for _, s := range h.late {
		if s.views == 0 && (s.arena || tells) {
			h.unmap(s)
		}
	}
	h.late = nil
	waiting.Store(0)
}
