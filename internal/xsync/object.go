package xsync

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// Memory is an object's shared memory as mapped in this process.
type Memory struct {
	WaitTable *park.WaitTable
	Bytes     []byte // zeros in a new object
	Gen       uint32 // not 0, and different for each object
	Bucket    uint32 // of the first wait queue; the others use the buckets that follow
}

// The memory of every object begins with these words.
const (
	offWord  = 0
	offMask  = 8
	offMask2 = 16
	offMask3 = 24
	offOwn   = 32 // the kind's own words
	offSlots = 64 // one word for each slot or permit
	headSize = 64
)

// Sizes of the objects.
const (
	Small = headSize                       // objects without a word for each slot
	Large = headSize + 8*park.MaxProcs     // objects with a word for each slot
	slots = park.MaxProcs - 1              // mask of the slot in a word
	genOf = uint64(0xffffffff) << 32       // mask of the generation
	_     = -(park.MaxProcs & (slots & 1)) // MaxProcs is a power of two
)

// Limits on what objects count.
const (
	MaxPermits = math.MaxInt32
	MaxBounded = 1 << 15
)

// Flags in the lower half of a word, above the slot.
const (
	starving = 1 << 16 // only goroutines in the queue may take the lock
	died     = 1 << 17 // the last holder died
	draining = 1 << 18 // the holder still waits for readers to leave
	turn     = 1 << 19 // the waiting readers are next
	finished = 1 << 20 // of a Once: it has been done
)

// object is the part that all kinds have in common.
type object struct {
	word  *atomic.Uint64
	mem   []byte
	gen   atomic.Uint64 // shifted; none once this process has closed the object
	home  uint64        // the same, but kept when this process closes the object
	me    uint64        // this process's slot
	table *park.WaitTable
	edge  edge
}

func (o *object) init(m Memory) {
	o.word = shm.Word64(m.Bytes, offWord)
	o.mem, o.home, o.me, o.table = m.Bytes, uint64(m.Gen)<<32, uint64(m.WaitTable.Slot()), m.WaitTable
	o.gen.Store(o.home)
}

// none is a generation that no object has.
const none = genOf

// waitQueue initializes the wait queue of the object's i-th mask.
func (o *object) waitQueue(s *park.WaitQueue, m Memory, i int, all bool) {
	s.Init(m.WaitTable, shm.Word64(m.Bytes, offMask+8*i), m.Bucket+uint32(i), all)
}

// alive reports whether w, just loaded, is the word of an object that is not closed.
func (o *object) alive(w uint64) bool { return w&genOf == o.gen.Load() }

// unlessClosed returns err, which the caller concluded from the object's memory, or ErrClosed if
// the object was closed in the meantime. In that case, this process may have released the memory
// and read zeros. An object is closed before its memory is released, so unlessClosed notices.
func (o *object) unlessClosed(err error) error {
	if !o.alive(o.word.Load()) {
		return errs.ErrClosed
	}
	return err
}

// birth gives a new object its first state and its generation. It must be the last step of creating
// the object.
func birth(m Memory, state uint64) {
	shm.Word64(m.Bytes, offWord).Store(uint64(m.Gen)<<32 | state)
}

// own returns the i-th of the kind's own words.
func own(mem []byte, i int) *atomic.Uint64 { return shm.Word64(mem, offOwn+8*i) }

// bySlot returns the words that belong to slots.
func bySlot(mem []byte) []atomic.Uint64 { return shm.Words(mem, offSlots, park.MaxProcs) }

// close closes the object, for all processes if this one owns it.
func (o *object) close(owned bool, queues ...*park.WaitQueue) {
	o.gen.Store(none)
	if owned && o.word.Load()&genOf == o.home {
		o.word.Store(0)
	}
	for _, s := range queues {
		if owned {
			s.WakeAll()
		}
		s.CallAll()
	}
}

// update changes the word to what next returns. It returns next's error, or ErrClosed if the object
// is closed.
func (o *object) update(next func(w uint64) (uint64, error)) error {
	return o.updateIf(o.gen.Load(), next)
}

// giveUp is like update, but for releasing what this process may hold: it succeeds even if this
// process has closed the object in the meantime.
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

// tries is how often an atomic step is attempted while the word keeps changing between the load and
// the step. Each failure means that another process made progress, so honest processes never come
// near this number. Only a process that keeps overwriting the word can make all attempts fail; they
// take some milliseconds.
const tries = 1 << 16

// abandoned reports whether w, just loaded, names a holder that is not a process. Reap clears the
// word before the slot of a dead process is reused, so only a corrupt process can have written such
// a word. The second look excludes a holder that released the lock and exited in the meantime.
func (o *object) abandoned(w uint64) bool {
	slot := int(w & slots)
	return slot != 0 && !o.table.Occupied(slot) && o.word.Load() == w && !o.table.Occupied(slot)
}

// reclaim looks whether the word names a holder that is not a process. If so, it does what Reap
// would have done, and returns true. Callers must call it before each wait.
func (o *object) reclaim(left func(w uint64) uint64) bool {
	w := o.word.Load()
	return o.alive(w) && o.abandoned(w) && o.word.CompareAndSwap(w, left(w))
}

// set sets a flag of an object that is not closed.
func (o *object) set(flag uint64) {
	_ = o.update(func(w uint64) (uint64, error) { return w | flag, nil })
}

// unset clears a flag, even if this process has closed the object in the meantime.
func (o *object) unset(flag uint64) {
	_ = o.giveUp(func(w uint64) (uint64, error) { return w &^ flag, nil })
}

// wait waits in the queue s until try returns true or an error. The result ended reports whether
// err is ctx's error.
func wait(ctx context.Context, s *park.WaitQueue, try func(called bool) (bool, error)) (ended bool, err error) {
	if e := s.Until(ctx, func(called bool) (done bool) {
		done, err = try(called)
		return done || err != nil
	}); e != nil {
		return true, e
	}

	if err != nil {
		s.WakeAll() // the error concerns every waiter
	}

	return false, err
}
