package objects

import (
	"time"

	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Now and then, the root process looks through everything that dead processes have left and that
// messages may need. It releases free blocks, which only their creator would use again, and
// segments that only keep each other alive.

const (
	// sweepDelay is the time between an event that may have left something and the look that
	// follows. One look serves many events.
	sweepDelay = 10 * time.Millisecond
	// sweepInterval is the time to the next look without an event. There is no event when another
	// process frees memory, or when memory becomes free in an arena that is otherwise in use.
	sweepInterval = time.Second
	// sweepShare bounds the cost: the time between looks is at least sweepShare times as long as a
	// look takes.
	sweepShare = 50
)

// sweeper belongs to the root process. The heap's mu guards it.
type sweeper struct {
	timer *time.Timer
	due   time.Time     // time of the next look; zero if none is due
	cost  time.Duration // of the last look
}

// sweepSoon schedules a look of the root process. The caller must hold h.mu.
func (h *heap) sweepSoon() { h.sweepIn(sweepDelay) }

// sweepIn schedules a look of the root process after the time d. The caller must hold h.mu.
func (h *heap) sweepIn(d time.Duration) {
	if _, root := h.dir.(*segments.Server); !root {
		return
	}
	r := &h.sweeper
	due := time.Now().Add(max(d, sweepShare*r.cost))
	if !r.due.IsZero() && r.due.Before(due) {
		return
	}

	r.due = due
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Until(due), h.sweepOrphans)
	} else {
		r.timer.Reset(time.Until(due))
	}
}

// sweepOrphans performs a look. The timer calls it.
func (h *heap) sweepOrphans() {
	h.mu.Lock()
	s, root := h.dir.(*segments.Server)
	h.sweeper.due = time.Time{}
	h.mu.Unlock()

	if !root {
		return
	}

	begun := time.Now()
	orphans := s.Orphans()
	for _, id := range orphans {
		releaseFree(s, id)
	}
	s.ReleaseCycles()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweeper.cost = time.Since(begun)
	if len(orphans) > 0 {
		h.sweepIn(sweepInterval)
	}
	h.end()
}

// releaseFree releases what is free in the arena of a dead process, and the arena itself if
// everything in it is free.
func releaseFree(s *segments.Server, id uint64) {
	var mem []byte
	s.WithSegment(id, func(fd, size int) { mem, _ = rangeOf(size).Map(fd) })
	if mem == nil { // it is gone, or the system has no memory for now
		return
	}
	over, all := freeIn(mem)
	_ = rangeOf(len(mem)).Retire(mem)
	if all {
		over = append(over, id)
	}
	s.ReleaseOwned(id, over)
}

// freeIn returns the first notes of the free Ownerships in an arena, and whether all Ownerships in
// it are free. The memory may have any content.
func freeIn(mem []byte) (notes []uint64, all bool) {
	all = true
	for i := firstLineOf(len(mem)); i < len(mem)/line; i++ {
		if xsync.Kind(mem[i]) != xsync.KindOwnership {
			continue
		}
		if note, free := xsync.FreeOwnership(mem[i*line:]); free {
			notes = append(notes, note)
		} else {
			all = false
		}
	}
	return notes, all
}
