package share

import (
	"time"

	"github.com/go-multiprocessing/mp/internal/broker"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// What the dead have left, and messages may need, is looked through now and then: for blocks that are
// free, which only their maker would use again, and for what only keeps each other.

const (
	// reapDelay is how long it is from an event that may have left something to the look: there is one
	// for many events.
	reapDelay = 10 * time.Millisecond
	// reapAgain is how long it is to the next look for which there was no event: what is freed far away,
	// or in an arena of which something else is in use, is none.
	reapAgain = time.Second
	// reapShare is how many times as long as a look takes it is to the next.
	reapShare = 50
)

// reaper is the root's, under the heap's lock.
type reaper struct {
	timer *time.Timer
	due   time.Time     // when it looks; zero if it does not
	cost  time.Duration // of the last look
}

// reapSoon has the root look soon; under the lock.
func (h *heap) reapSoon() { h.reapIn(reapDelay) }

// reapIn has the root look some time; under the lock.
func (h *heap) reapIn(d time.Duration) {
	if _, root := h.dir.(*broker.Server); !root {
		return
	}
	r := &h.reaper
	due := time.Now().Add(max(d, reapShare*r.cost))
	if !r.due.IsZero() && r.due.Before(due) {
		return
	}
	r.due = due
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Until(due), h.reap)
	} else {
		r.timer.Reset(time.Until(due))
	}
}

// reap is the timer's.
func (h *heap) reap() {
	h.mu.Lock()
	s, root := h.dir.(*broker.Server)
	h.reaper.due = time.Time{}
	h.mu.Unlock()
	if !root {
		return
	}
	begun := time.Now()
	orphans := s.Orphans()
	for _, id := range orphans {
		letGoIn(s, id)
	}
	s.LetGoOfCircles()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reaper.cost = time.Since(begun)
	if len(orphans) > 0 {
		h.reapIn(reapAgain)
	}
	h.end()
}

// letGoIn lets go of what is free in the arena of a dead process, and of the arena with the last of it.
func letGoIn(s *broker.Server, id uint64) {
	var mem []byte
	s.Look(id, func(fd, size int) { mem, _ = rangeOf(size).Map(fd) })
	if mem == nil { // it is gone, or there is no memory for now
		return
	}
	over, all := freeIn(mem)
	_ = rangeOf(len(mem)).Retire(mem)
	if all {
		over = append(over, id)
	}
	s.LetGo(id, over)
}

// freeIn returns the first notes of those in an arena that are held by nobody, of which nothing need
// be true, and whether these are all that there are.
func freeIn(mem []byte) (notes []uint64, all bool) {
	all = true
	for i := firstLineOf(len(mem)); i < len(mem)/line; i++ {
		if xsync.Kind(mem[i]) != xsync.KindHeld {
			continue
		}
		if note, free := xsync.FreeHeld(mem[i*line:]); free {
			notes = append(notes, note)
		} else {
			all = false
		}
	}
	return notes, all
}
