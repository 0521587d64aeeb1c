package share

import (
	"errors"

	"github.com/go-multiprocessing/mp/internal/broker"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/sys"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// birth is what a process other than the root knows about the broker.
var birth struct {
	ask func() error // asks the parent to have the socket served; nil in the root
	fd  int          // the socket; -1 once it has been used
}

// Born tells a process other than the root which descriptor it was started with, and how to ask the
// parent to have that socket served. It must be called once, before anything is shared.
func Born(fd int, ask func() error) { Unborn, birth.fd, birth.ask = false, fd, ask }

var errUnborn = errors.New("made in a worker before Init, where each process would have one of its own: make it in main and send it in an argument")

// isRoot reports whether this process is not a worker of another one.
func isRoot() bool { return birth.ask == nil }

// begin creates the broker or the connection to it. The caller must hold h.mu.
func (h *heap) begin() error {
	if h.dir != nil {
		return nil
	}
	if Unborn {
		return errUnborn
	}
	dir, err := h.directory()
	if err != nil {
		return err
	}
	h.dir, h.lot = dir, dir.Lot()
	inTask.Store(tells)
	active.Store(true)
	return nil
}

func (h *heap) directory() (broker.Directory, error) {
	gone := func(id uint64) {
		if spills.end(id) {
			go h.endIfIdle()
			return
		}
		if id != 0 {
			go h.lost(id)
		} else if !h.looks.Swap(true) { // a client can cause this call again and again
			go h.lost(0)
		}
	}

	switch {
	case birth.ask == nil:
		return broker.NewServer(h.bury, gone)
	case birth.fd < 0:
		return nil, errNoSocket
	}

	if err := birth.ask(); err != nil {
		return nil, err
	}
	fd := birth.fd
	birth.fd = -1
	return broker.Connect(fd, gone)
}

// end closes the broker of a root process that no longer shares anything. The caller must hold
// h.mu.
func (h *heap) end() {
	if s, ok := h.dir.(*broker.Server); ok && len(h.segments) == 0 && s.Idle() {
		h.dir, h.lot = nil, nil
		active.Store(false)
		s.Close()
	}
}

// endIfIdle is end for callers that do not hold h.mu.
func (h *heap) endIfIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end()
}

// bury releases what a dead process held in its arenas. It does not hold h.mu while it works, so
// other processes and other goroutines are not blocked.
func (h *heap) bury(slot int, ids []uint64) {
	h.burying.Lock()
	defer h.burying.Unlock()

	h.mu.Lock()
	s, root := h.dir.(*broker.Server)
	mapped := map[uint64][]byte{} // safe to use without h.mu: a retired range is never unmapped
	for _, id := range ids {
		if g := h.segments[id]; g != nil && g.arena {
			mapped[id] = g.mem
		}
	}
	h.mu.Unlock()
	if !root {
		return
	}

	for _, id := range ids {
		if mem := mapped[id]; mem != nil {
			buryIn(mem, slot)
			continue
		}
		s.Look(id, func(fd, size int) {
			if mem, err := rangeOf(size).Map(fd); err == nil { // else the system has no memory for now
				buryIn(mem, slot)
				_ = rangeOf(size).Retire(mem)
			}
		})
	}
}

// buryIn cleans up the objects of an arena, whose contents need not be valid. It takes the memory
// of each object to end where the next one begins. It therefore looks at each byte of the arena
// once, however many large objects a corrupt process claims.
func buryIn(mem []byte, slot int) {
	end := len(mem) / line
	for i := end - 1; i >= firstLineOf(len(mem)); i-- {
		k := xsync.Kind(mem[i])
		if k == xsync.KindNone {
			continue
		}
		if xsync.Bury(k, mem[i*line:end*line:end*line], slot) {
			mem[i] = byte(xsync.KindNone) // as Object.End does
		}
		end = i
	}
}

// Pair is broker.Pair, for a child that is about to be started.
func Pair() (ours, theirs int, err error) { return broker.Pair() }

// A Child is a child of this process that shares objects.
type Child = broker.Child

// Adopt makes the broker serve a child, given its end of a Pair, a pidfd, and a channel that is
// closed when the child has died. It takes ownership of both descriptors.
func Adopt(end, pidfd int, died <-chan struct{}) (Child, error) {
	h := &here
	h.mu.Lock()
	err := h.begin()
	dir := h.dir
	var c broker.Child
	if _, root := dir.(*broker.Server); root { // without h.mu, the heap could end the server
		c, err = dir.Adopt(end, pidfd, died)
	}
	h.mu.Unlock()

	switch {
	case dir == nil:
		new(sys.Closer).Close(end) // it may contain something that lingers
		shm.CloseFD(pidfd)
		return nil, err
	case c == nil && err == nil:
		return dir.Adopt(end, pidfd, died)
	}
	return c, err
}

var errNoSocket = errors.New("mp: the socket to the main process is closed")
