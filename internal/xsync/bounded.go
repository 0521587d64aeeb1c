package xsync

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// A Bounded is a semaphore that knows which processes hold its permits: each permit has a word with
// the slot of its holder, so the permits of a dead process come back.
type Bounded struct {
	object
	queue   park.WaitQueue
	permits []atomic.Uint64
}

// BoundedSize returns the size of the memory for n permits, where n is 1 to MaxBounded.
func BoundedSize(n int) int { return headSize + 8*n }

// NewBounded creates a Bounded with n permits.
func NewBounded(m Memory, n int) *Bounded {
	own(m.Bytes, 0).Store(uint64(n))
	birth(m, 0)
	return OpenBounded(m)
}

// OpenBounded opens the Bounded that already exists in m.
func OpenBounded(m Memory) *Bounded {
	b := &Bounded{permits: permitsOf(m.Bytes)}
	b.init(m)
	b.waitQueue(&b.queue, m, 0, false)
	return b
}

// permitsOf returns the words of the permits. It limits the number of permits that the memory
// claims to the number for which the memory has room, which may be 0.
func permitsOf(mem []byte) []atomic.Uint64 {
	n := min(own(mem, 0).Load(), MaxBounded, uint64(len(mem)-headSize)/8)
	return shm.Words(mem, offSlots, int(n))
}

// Close closes the Bounded, for all processes if this one owns it.
func (b *Bounded) Close(owned bool) { b.close(owned, &b.queue) }

// Cap returns the total number of permits.
func (b *Bounded) Cap() int { return len(b.permits) }

// Acquire waits for a permit.
func (b *Bounded) Acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ok, err := b.TryAcquire(); ok || err != nil {
		return err
	}

	began := time.Now()
	_, err := wait(ctx, &b.queue, func(called bool) (bool, error) {
		return b.try(called, called && time.Since(began) > starvationThreshold)
	})

	if err != nil {
		b.unset(starving)
	} else {
		b.edge.acquire()
	}
	b.passOn()
	return err
}

func (b *Bounded) try(called, starve bool) (bool, error) {
	w := b.word.Load()
	switch {
	case !b.alive(w):
		return false, errs.ErrClosed
	case w&starving != 0 && !called:
		return false, nil
	}

	if b.take(0, b.me) >= 0 || b.reclaimPermits() && b.take(0, b.me) >= 0 {
		if w&starving != 0 {
			b.unset(starving)
		}
		return true, nil
	}

	if starve {
		b.set(starving)
		if b.take(0, b.me) >= 0 { // a permit came back before its holder could see the flag
			b.unset(starving)
			return true, nil
		}
	}
	return false, nil
}

// take moves a permit from one slot to another, where 0 means that the permit is free. It returns
// the permit's index, or -1 if there is no such permit.
func (b *Bounded) take(from, to uint64) int {
	n := len(b.permits)
	for i := range n {
		i = (i + int(b.me)) % n // processes start at different places
		if b.permits[i].Load() == from && b.permits[i].CompareAndSwap(from, to) {
			return i
		}
	}
	return -1
}

// reclaimPermits takes back permits whose holder is not a process, and reports whether there were
// any. See abandoned.
func (b *Bounded) reclaimPermits() (some bool) {
	for i := range b.permits {
		p := b.permits[i].Load()
		if p != 0 && !b.has(p) && b.permits[i].Load() == p && !b.has(p) && b.permits[i].CompareAndSwap(p, 0) {
			some = true
		}
	}
	return some
}

// has reports whether p, the word of a permit, is the slot of a process.
func (b *Bounded) has(p uint64) bool { return p < park.MaxProcs && b.table.Occupied(int(p)) }

func (b *Bounded) passOn() {
	if b.queue.Waited() && b.free() {
		b.queue.WakeOne()
	}
}

func (b *Bounded) free() bool {
	for i := range b.permits {
		if b.permits[i].Load() == 0 {
			return true
		}
	}
	return false
}

// TryAcquire takes a permit if one is free, and reports whether it did.
func (b *Bounded) TryAcquire() (bool, error) {
	ok, err := b.try(false, false)
	if ok {
		b.edge.acquire()
	}
	return ok, err
}

// Release gives back a permit of this process, or of another process if this one has none. It
// returns ErrOverRelease if all permits are free.
func (b *Bounded) Release() error {
	if !b.there() {
		return errs.ErrClosed
	}

	b.edge.release()
	if b.take(b.me, 0) < 0 && !b.takeAny() {
		if !b.there() { // the memory was released in the meantime
			return errs.ErrClosed
		}
		return errs.ErrOverRelease
	}

	b.passOn()
	return nil
}

// there reports whether the Bounded still exists. This process can give back permits even after it
// has closed the Bounded.
func (b *Bounded) there() bool { return b.word.Load()&genOf == b.home }

// takeAny gives back a permit of any process, and reports whether there was one.
func (b *Bounded) takeAny() bool {
	for i := range b.permits {
		if p := b.permits[i].Load(); p != 0 && b.permits[i].CompareAndSwap(p, 0) {
			return true
		}
	}
	return false
}

// Available returns the number of free permits at some moment during the call.
func (b *Bounded) Available() (n int, err error) {
	if !b.alive(b.word.Load()) {
		return 0, errs.ErrClosed
	}
	for i := range b.permits {
		if b.permits[i].Load() == 0 {
			n++
		}
	}
	return n, nil
}

func reapBounded(mem []byte, slot uint64) {
	permits := permitsOf(mem)
	for i := range permits {
		permits[i].CompareAndSwap(slot, 0)
	}
	change(mem, func(w uint64) uint64 { return w &^ starving })
}
