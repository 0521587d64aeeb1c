package xsync

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// Memory is an object's shared memory as this process sees it.
type Memory struct {
	Lot    *park.Lot
	Bytes  []byte // zeros in a new object
	Gen    uint32 // not 0, and another one for each object
	Bucket uint32 // for the first site; others follow
}

// The memory of every object begins with these words.
const (
	offWord  = 0
	offMask  = 8
	offMask2 = 16
	offMask3 = 24
	offOwn   = 32 // words of the kind's own
	offSlots = 64 // one word for each slot, or permit
	headSize = 64
)

// Sizes of the objects.
const (
	Small = headSize                       // of those without words by slot
	Large = headSize + 8*park.MaxProcs     // of those with
	slots = park.MaxProcs - 1              // mask of a slot in a word
	genOf = uint64(0xffffffff) << 32       // mask of the generation
	_     = -(park.MaxProcs & (slots & 1)) // MaxProcs is a power of two
)

// Bounds of what objects count.
const (
	MaxPermits = math.MaxInt32
	MaxBounded = 1 << 15
)

// Flags in the lower half of a word, above the slot.
const (
	starving = 1 << 16 // only who waits in the queue may have the lock
	died     = 1 << 17 // its holder has
	draining = 1 << 18 // the holder still waits for readers
	turn     = 1 << 19 // the next are the readers that wait
	finished = 1 << 20 // of a Once: it has been done
)

// object is what all kinds have in common.
type object struct {
	word *atomic.Uint64
	mem  []byte
	gen  atomic.Uint64 // shifted; none once this process has closed the object
	home uint64        // the same, for ever: what is held can be given up after that
	me   uint64        // this process's slot
	lot  *park.Lot
	edge edge
}

func (o *object) init(m Memory) {
	o.word = shm.Word64(m.Bytes, offWord)
	o.mem, o.home, o.me, o.lot = m.Bytes, uint64(m.Gen)<<32, uint64(m.Lot.Slot()), m.Lot
	o.gen.Store(o.home)
}

// none is the generation of no object.
const none = genOf

// site makes a site for the i-th mask of the object.
func (o *object) site(s *park.Site, m Memory, i int, all bool) {
	s.Init(m.Lot, shm.Word64(m.Bytes, offMask+8*i), m.Bucket+uint32(i), all)
}

// alive reports whether a word just loaded is that of an object that is not closed.
func (o *object) alive(w uint64) bool { return w&genOf == o.gen.Load() }

// unlessClosed returns an error that was concluded from the object's memory, or ErrClosed if the object has been closed
// since: this process may have given its memory back meanwhile, and then it has read zeros. Closing comes before that.
func (o *object) unlessClosed(err error) error {
	if !o.alive(o.word.Load()) {
		return errs.ErrClosed
	}
	return err
}

// birth gives a new object its generation and first state, as the last thing.
func birth(m Memory, state uint64) {
	shm.Word64(m.Bytes, offWord).Store(uint64(m.Gen)<<32 | state)
}

// own is the i-th word of the kind's own.
func own(mem []byte, i int) *atomic.Uint64 { return shm.Word64(mem, offOwn+8*i) }

func bySlot(mem []byte) []atomic.Uint64 { return shm.Words(mem, offSlots, park.MaxProcs) }

// close makes the object closed, for all processes if this one owns it.
func (o *object) close(owned bool, sites ...*park.Site) {
	o.gen.Store(none)
	if owned && o.word.Load()&genOf == o.home {
		o.word.Store(0)
	}
	for _, s := range sites {
		if owned {
			s.WakeAll()
		}
		s.CallAll()
	}
}

// update changes the word to what next returns. It returns an error if the object is
// closed, or next's.
func (o *object) update(next func(w uint64) (uint64, error)) error {
	return o.updateIf(o.gen.Load(), next)
}

// giveUp is update for what this process may hold: it does not matter if it has closed
// the object meanwhile.
func (o *object) giveUp(next func(w uint64) (uint64, error)) error {
	return o.updateIf(o.home, next)
}

func (o *object) updateIf(gen uint64, next func(w uint64) (uint64, error)) error {
	for range tries {
		w := o.word.Load()
		if w&genOf != gen {
			return errs.ErrClosed
		}
		n, err := next(w)
		if err != nil || n == w || o.word.CompareAndSwap(w, n) {
			return err
		}
	}
	return errs.ErrCorrupt
}

// tries is how often an atomic step is tried if the word keeps changing between the load and the
// step. Each failure means that another process has made progress, so honest processes never come near this
// number. Only a process that keeps overwriting the word can make all tries fail; they take some milliseconds.
const tries = 1 << 16

// abandoned reports whether a word just loaded names a holder that is no process. Bury clears the word before the
// slot of a dead process is given back, so a corrupt process must have written it. The second look
// excludes a holder that has let go and ended meanwhile.
func (o *object) abandoned(w uint64) bool {
	slot := int(w & slots)
	return slot != 0 && !o.lot.Occupied(slot) && o.word.Load() == w && !o.lot.Occupied(slot)
}

// reclaim does what Bury would have done if the holder that the word names is no process, and reports whether
// it did. Call it before each wait.
func (o *object) reclaim(left func(w uint64) uint64) bool {
	w := o.word.Load()
	return o.alive(w) && o.abandoned(w) && o.word.CompareAndSwap(w, left(w))
}

// set sets a flag of an object that is not closed.
func (o *object) set(flag uint64) {
	_ = o.update(func(w uint64) (uint64, error) { return w | flag, nil })
}

// unset is the counterpart, also if this process has closed the object meanwhile.
func (o *object) unset(flag uint64) {
	_ = o.giveUp(func(w uint64) (uint64, error) { return w &^ flag, nil })
}

// wait waits at a site for try, which returns true or an error when there is nothing
// more to wait for. Ended says that the error is that of the context.
func wait(ctx context.Context, s *park.Site, try func(called bool) (bool, error)) (ended bool, err error) {
	if e := s.Until(ctx, func(called bool) (done bool) {
		done, err = try(called)
		return done || err != nil
	}); e != nil {
		return true, e
	}
	if err != nil {
		s.WakeAll() // it holds for all who wait
	}
	return false, err
}
