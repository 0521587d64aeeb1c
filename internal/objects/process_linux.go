package objects

import (
	"errors"

	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/sys"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// parent is what a process other than the root knows about the broker.
var parent struct {
	ask func() error // asks the parent to have the socket served; nil in the root
	fd  int          // the socket; -1 once it has been used
}

// SetParent tells a process other than the root which descriptor it was started with, and how to
// ask the parent to have that socket served. It must be called once, before anything is shared.
func SetParent(fd int, ask func() error) { BeforeInit, parent.fd, parent.ask = false, fd, ask }

var errBeforeInit = errors.New("made in a worker before Init, where each process would have one of its own: make it in main and send it in an argument")

// isRoot reports whether this process is the root, and not a worker of another process.
func isRoot() bool { return parent.ask == nil }

// begin creates the broker or the connection to it. The caller must hold h.mu.
func (h *heap) begin() error {
	if h.dir != nil {
		return nil
	}
	if BeforeInit {
		return errBeforeInit
	}
	dir, err := h.directory()
	if err != nil {
		return err
	}
	h.dir, h.table = dir, dir.WaitTable()
	inTask.Store(tells)
	active.Store(true)
	return nil
}

func (h *heap) directory() (segments.Directory, error) {
	gone := func(id uint64) {
		if spills.end(id) {
			go h.endIfIdle()
			return
		}
		if id != 0 {
			go h.lost(id)
		} else if !h.reapPending.Swap(true) { // a client can cause this call again and again
			go h.lost(0)
		}
	}

	switch {
	case parent.ask == nil:
		return segments.NewServer(h.reap, gone)
	case parent.fd < 0:
		return nil, errNoSocket
	}

	if err := parent.ask(); err != nil {
		return nil, err
	}
	fd := parent.fd
	parent.fd = -1
	return segments.Connect(fd, gone)
}

// end closes the broker of a root process that no longer shares anything. The caller must hold
// h.mu.
func (h *heap) end() {
	if s, ok := h.dir.(*segments.Server); ok && len(h.segments) == 0 && s.Idle() {
		h.dir, h.table = nil, nil
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

// reap releases what a dead process held in its arenas. It does not hold h.mu while it works, so
// other processes and other goroutines are not blocked.
func (h *heap) reap(slot int, ids []uint64) {
	h.reaping.Lock()
	defer h.reaping.Unlock()

	h.mu.Lock()
	s, root := h.dir.(*segments.Server)
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
			reapArena(mem, slot)
			continue
		}
		s.WithSegment(id, func(fd, size int) {
			if mem, err := rangeOf(size).Map(fd); err == nil { // else the system has no memory for now
				reapArena(mem, slot)
				_ = rangeOf(size).Retire(mem)
			}
		})
	}
}

// reapArena cleans up the objects of an arena, whose contents need not be valid. It assumes that
// the memory of each object ends where the next object begins. It therefore looks at each byte of
// the arena only once, however many large objects a corrupt process claims.
func reapArena(mem []byte, slot int) {
	end := len(mem) / line
	for i := end - 1; i >= firstLineOf(len(mem)); i-- {
		k := xsync.Kind(mem[i])
		if k == xsync.KindNone {
			continue
		}
		if xsync.Reap(k, mem[i*line:end*line:end*line], slot) {
			mem[i] = byte(xsync.KindNone) // as Object.End does
		}
		end = i
	}
}

// Pair is segments.Pair, for a child that is about to be started.
func Pair() (ours, theirs int, err error) { return segments.Pair() }

// A Child is a child of this process that shares objects.
type Child = segments.Child

// Adopt makes the broker serve a child, given its end of a Pair, a pidfd, and a channel that is
// closed when the child has died. It takes ownership of both descriptors.
func Adopt(end, pidfd int, died <-chan struct{}) (Child, error) {
	h := &here
	h.mu.Lock()
	err := h.begin()
	dir := h.dir
	var c segments.Child
	if _, root := dir.(*segments.Server); root { // without h.mu, the heap could end the server
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
