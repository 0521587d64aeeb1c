package xsync

import (
	"context"
	"runtime"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// starvationThreshold is how long a goroutine waits before later arrivals must queue behind it.
const starvationThreshold = time.Millisecond

// A Mutex is held by one goroutine of one process at a time. Its word contains the holder's slot
// and the flags starving and died.
type Mutex struct {
	object
	queue park.WaitQueue
	inner bool // the guarded memory is always valid, so a holder's death leaves nothing to repair
}

// NewMutex creates a Mutex in m, which must have Small bytes.
func NewMutex(m Memory) *Mutex {
	birth(m, 0)
	return OpenMutex(m)
}

// OpenMutex opens the Mutex that already exists in m.
func OpenMutex(m Memory) *Mutex {
	x := &Mutex{}
	x.init(m)
	x.waitQueue(&x.queue, m, 0, false)
	return x
}

// Close closes the Mutex, for all processes if this one owns it.
func (m *Mutex) Close(owned bool) { m.close(owned, &m.queue) }

// Lock waits for the lock. On error the lock is not held. The error is ctx's error, ErrOwnerDied or
// ErrClosed.
func (m *Mutex) Lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.lockAtOnce() {
		return nil
	}
	return m.lockSlowly(ctx)
}

func (m *Mutex) lockAtOnce() bool {
	gen := m.gen.Load()
	ok := m.word.CompareAndSwap(gen, gen|m.me)
	if ok {
		m.edge.acquire()
	}
	return ok
}

func (m *Mutex) lockSlowly(ctx context.Context) error {
	if m.spin() {
		m.edge.acquire()
		return nil
	}
	began := time.Now()
	_, err := wait(ctx, &m.queue, func(called bool) (bool, error) {
		return m.try(called, called && time.Since(began) > starvationThreshold)
	})
	if err != nil {
		m.passOn()
		return err
	}
	m.edge.acquire()
	return nil
}

// spins is how often a waiter looks at the word before it sleeps. The holder probably runs on
// another processor and may release the lock soon.
const spins = 100

// spin takes the lock if it becomes free within spins looks, and reports whether it did.
func (m *Mutex) spin() bool {
	if runtime.NumCPU() == 1 {
		return false
	}
	for range spins {
		w := m.word.Load()
		if w == m.gen.Load() && m.word.CompareAndSwap(w, w|m.me) {
			return true
		}
		if !m.alive(w) || w&(starving|died) != 0 {
			return false
		}
	}
	return false
}

// soon reports whether one of spins calls of happened returns true. It is for something that
// another processor may be about to do.
func soon(happened func() bool) bool {
	if runtime.NumCPU() == 1 {
		return false
	}
	for range spins {
		if happened() {
			return true
		}
	}
	return false
}

// try takes the lock if it is free. Unless called is set, it does not overtake starving waiters. If
// starved is set and the lock is not free, it sets the flag starving.
func (m *Mutex) try(called, starved bool) (bool, error) {
	for range tries {
		w := m.word.Load()
		free := w&slots == 0
		next := w

		switch {
		case !m.alive(w):
			return false, errs.ErrClosed
		case w&died != 0:
			return false, errs.ErrOwnerDied
		case free && (called || w&starving == 0):
			next = w&genOf | m.me
		case !free && m.abandoned(w):
			next = m.left(w)
		case !free && starved:
			next = w | starving
		}

		if next == w {
			return false, nil
		}

		if m.word.CompareAndSwap(w, next) && next&slots != 0 {
			return free, nil
		}
	}
	return false, errs.ErrCorrupt
}

// left returns w without its holder, which no longer exists.
func (m *Mutex) left(w uint64) uint64 {
	if m.inner {
		return w &^ (slots | starving)
	}
	return mutexLeft(w)
}

func mutexLeft(w uint64) uint64 { return w&^(slots|starving) | died }

// passOn must be called by a goroutine that stops waiting: another goroutine may need a wake-up
// that this one received.
func (m *Mutex) passOn() {
	m.unset(starving)
	if m.word.Load()&slots == 0 {
		m.queue.WakeOne()
	}
}

// TryLock takes the lock if it is free, and reports whether it did. Its errors are ErrOwnerDied and
// ErrClosed.
func (m *Mutex) TryLock() (bool, error) {
	ok, err := m.try(false, false)
	if ok {
		m.edge.acquire()
	}
	return ok, err
}

// Unlock releases the lock. If this process does not hold it, Unlock changes nothing and returns an
// error.
func (m *Mutex) Unlock() error {
	m.edge.release()
	if !m.word.CompareAndSwap(m.home|m.me, m.home) {
		if err := m.unlockSlowly(); err != nil {
			return err
		}
	}
	if m.queue.Waited() {
		m.queue.WakeOne()
	}
	return nil
}

// unlockSlowly is like Unlock, but for a word with flags.
func (m *Mutex) unlockSlowly() error {
	return m.giveUp(func(w uint64) (uint64, error) {
		if w&slots != m.me || w&died != 0 {
			return w, errs.ErrNotHeld
		}
		return w &^ slots, nil
	})
}

// CheckHeld returns nil if this process holds the lock, and otherwise ErrNotHeld or ErrClosed.
func (m *Mutex) CheckHeld() error {
	switch w := m.word.Load(); {
	case !m.alive(w):
		return errs.ErrClosed
	case w&slots != m.me || w&died != 0:
		return errs.ErrNotHeld
	}
	return nil
}

// Recover makes the Mutex usable again after a holder has died. It calls repair with the lock held,
// and clears the mark of the death if repair returns nil. Until then, other callers get
// ErrOwnerDied. If no holder has died, or if another process has already repaired the Mutex,
// Recover does nothing.
func (m *Mutex) Recover(ctx context.Context, repair func() error) error {
	return m.recover(ctx, &m.queue, repair)
}

func (o *object) recover(ctx context.Context, queue *park.WaitQueue, repair func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mine := false

	_, err := wait(ctx, queue, func(bool) (bool, error) {
		err := o.update(func(w uint64) (uint64, error) {
			mine = w&died != 0 && (w&slots == 0 || o.abandoned(w))
			if mine {
				return w&^slots | o.me, nil
			}
			return w, nil
		})
		return mine || o.word.Load()&died == 0, err
	})

	if err != nil || !mine {
		queue.WakeAll() // goroutines that want the lock wait in the same queue
		return err
	}
	return o.repair(queue, repair)
}

func (o *object) repair(queue *park.WaitQueue, repair func() error) (err error) {
	o.edge.acquire()
	gone := uint64(slots)
	defer func() {
		o.edge.release()
		if e := o.giveUp(func(w uint64) (uint64, error) { return w &^ gone, nil }); err == nil {
			err = e
		}
		queue.WakeAll()
	}()
	if err = repair(); err == nil {
		gone |= died
	}
	return err
}

func reapMutex(mem []byte, slot uint64) {
	change(mem, func(w uint64) uint64 {
		if w&slots == slot {
			w = mutexLeft(w)
		}
		return w &^ starving
	})
}
