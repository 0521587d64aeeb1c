package xsync

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// An RWMutex is held by one process for writing, or by many for reading. Its word is like that of a
// Mutex, for writers; each process counts its readers in a word of its own. A reader counts itself
// and then looks for a writer; a writer takes the word and then waits for the readers. At least one
// of them therefore sees the other, and the state is valid between the two steps of each.
type RWMutex struct {
	object
	writers park.WaitQueue
	readers park.WaitQueue
	drain   park.WaitQueue // the one writer that waits for readers to leave
	counts  []atomic.Uint64
}

// NewRWMutex creates an RWMutex in m, which must have Large bytes.
func NewRWMutex(m Memory) *RWMutex {
	birth(m, 0)
	return OpenRWMutex(m)
}

// OpenRWMutex opens the RWMutex that already exists in m.
func OpenRWMutex(m Memory) *RWMutex {
	x := &RWMutex{counts: bySlot(m.Bytes)}
	x.init(m)
	x.waitQueue(&x.writers, m, 0, false)
	x.waitQueue(&x.readers, m, 1, true)
	x.waitQueue(&x.drain, m, 2, false)
	return x
}

// countOf returns the index of a slot's reader count. Processes that were started one after another
// have their counts in different cache lines.
func countOf(slot uint64) uint64 {
	const perLine = 64 / 8
	return slot%(park.MaxProcs/perLine)*perLine + slot/(park.MaxProcs/perLine)
}

// Close closes the RWMutex, for all processes if this one owns it.
func (m *RWMutex) Close(owned bool) { m.close(owned, &m.writers, &m.readers, &m.drain) }

// RLock waits for the lock for reading. On error the lock is not held. The error is ctx's error,
// ErrOwnerDied or ErrClosed.
func (m *RWMutex) RLock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ok, err := m.TryRLock(); ok || err != nil {
		return err
	}

	if soon(func() bool { return m.word.Load()&(slots|died) == 0 }) {
		if ok, err := m.TryRLock(); ok || err != nil {
			return err
		}
	}

	_, err := wait(ctx, &m.readers, func(bool) (bool, error) { return m.enter() })
	m.endTurn()
	if err == nil {
		m.edge.acquire()
	}
	return err
}

// TryRLock takes the lock for reading if no writer has it, and reports whether it did.
func (m *RWMutex) TryRLock() (bool, error) {
	ok, err := m.enter()
	if ok {
		m.edge.acquire()
	}
	return ok, err
}

// enter counts a reader unless there is a writer, and reports whether it did.
func (m *RWMutex) enter() (bool, error) {
	ok, err := m.enterNow()
	if !ok && err == nil && m.reclaim(rwLeft) {
		m.writers.WakeAll()
		return m.enterNow()
	}
	return ok, err
}

func (m *RWMutex) enterNow() (bool, error) {
	w := m.word.Load()
	if m.alive(w) && w&(slots|died) == 0 {
		mine := &m.counts[countOf(m.me)]
		mine.Add(1)
		if w = m.word.Load(); m.alive(w) && w&(slots|died) == 0 {
			return true, nil
		}
		_ = m.leave(mine)
	}

	switch {
	case !m.alive(w):
		return false, errs.ErrClosed
	case w&died != 0:
		return false, errs.ErrOwnerDied
	}
	return false, nil
}

// endTurn lets writers continue after the readers have had their turn, or if they no longer want
// it.
func (m *RWMutex) endTurn() {
	if m.word.Load()&turn != 0 {
		m.unset(turn)
		m.writers.WakeOne()
	}
}

// RUnlock releases the lock that RLock took. It returns ErrNotHeld if this process holds no lock
// for reading.
func (m *RWMutex) RUnlock() error {
	m.edge.release()
	if m.leave(&m.counts[countOf(m.me)]) {
		return nil
	}
	if !m.alive(m.word.Load()) {
		return errs.ErrClosed
	}
	return errs.ErrNotHeld
}

// leave subtracts a reader and tells a writer that waits for the reader to leave. It returns false
// if the count is 0.
func (m *RWMutex) leave(mine *atomic.Uint64) bool {
	for range tries {
		n := mine.Load()
		if n == 0 {
			return false
		}
		if mine.CompareAndSwap(n, n-1) {
			if m.word.Load()&draining != 0 {
				m.drain.WakeAll()
			}
			return true
		}
	}
	return false
}

// Lock waits for the lock for writing. On error the lock is not held. The error is ctx's error,
// ErrOwnerDied or ErrClosed.
func (m *RWMutex) Lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	ok, err := m.claim(false, false)
	if !ok && err == nil && soon(func() bool { return m.word.Load()&(slots|starving|turn) == 0 }) {
		ok, err = m.claim(false, false)
	}

	if err != nil {
		return err
	}

	if !ok {
		began := time.Now()
		_, err := wait(ctx, &m.writers, func(called bool) (bool, error) {
			return m.claim(called, called && time.Since(began) > starvationThreshold)
		})
		if err != nil {
			m.passOn()
			return err
		}
	}

	return m.awaitReaders(ctx)
}

// claim takes the word if there is no writer, which keeps other writers and new readers out. It
// reports whether it took the word.
func (m *RWMutex) claim(called, starve bool) (mine bool, err error) {
	mine, err = m.claimNow(called, starve)
	if !mine && err == nil && m.reclaim(rwLeft) {
		m.readers.WakeAll()
		return m.claimNow(called, starve)
	}
	return mine, err
}

func (m *RWMutex) claimNow(called, starve bool) (mine bool, err error) {
	err = m.update(func(w uint64) (uint64, error) {
		free := w&slots == 0
		mine = free && (called || w&(starving|turn) == 0)
		switch {
		case w&died != 0:
			return w, errs.ErrOwnerDied
		case mine:
			return w&genOf | m.me | draining, nil
		case !free && starve:
			return w | starving, nil
		}
		return w, nil
	})
	return mine && err == nil, err
}

// passOn does for writers what Mutex.passOn does.
func (m *RWMutex) passOn() {
	m.unset(starving)
	if m.word.Load()&slots == 0 {
		m.writers.WakeOne()
	}
}

// awaitReaders waits, after claim, until the last reader has left.
func (m *RWMutex) awaitReaders(ctx context.Context) error {
	var err error
	if m.read() && !soon(func() bool { return !m.read() }) {
		_, err = wait(ctx, &m.drain, func(bool) (bool, error) {
			if !m.alive(m.word.Load()) {
				return false, errs.ErrClosed
			}
			return !m.read(), nil
		})
	}
	if err != nil {
		_ = m.free(draining)
		return err
	}
	return m.begin()
}

// begin ends the wait for readers.
func (m *RWMutex) begin() error {
	if err := m.update(func(w uint64) (uint64, error) { return w &^ draining, nil }); err != nil {
		_ = m.free(draining) // this process closed the lock without owning it
		return err
	}
	m.edge.acquire()
	return nil
}

// read reports whether any process holds the lock for reading.
func (m *RWMutex) read() bool {
	return m.table.Any(func(slot int) bool { return m.counts[countOf(uint64(slot))].Load() != 0 })
}

// free releases what this process holds; flag is draining if this process still waits for readers,
// and 0 otherwise. It then lets in the waiting readers or, if there are none, a writer.
func (m *RWMutex) free(flag uint64) error {
	waited := m.readers.Waited()
	err := m.giveUp(func(w uint64) (uint64, error) {
		if w&slots != m.me || w&(died|draining) != flag {
			return w, errs.ErrNotHeld
		}
		if waited {
			w |= turn
		}
		return w &^ (slots | draining), nil
	})
	if err != nil {
		return err
	}

	switch woken := m.readers.WakeAll(); {
	case !waited:
		m.writers.WakeOne()
	case !woken: // the readers stopped waiting
		m.endTurn()
	}
	return nil
}

// TryLock takes the lock for writing if no process has it, and reports whether it did.
func (m *RWMutex) TryLock() (bool, error) {
	if ok, err := m.claim(false, false); !ok {
		return false, err
	}
	if m.read() {
		return false, m.free(draining)
	}
	err := m.begin()
	return err == nil, err
}

// Unlock releases the lock that Lock took. If this process does not hold it, Unlock changes nothing
// and returns an error.
func (m *RWMutex) Unlock() error {
	m.edge.release()
	return m.free(0)
}

// Recover does what Mutex.Recover does, for a writer that has died.
func (m *RWMutex) Recover(ctx context.Context, repair func() error) error {
	err := m.recover(ctx, &m.writers, repair)
	m.readers.WakeAll()
	return err
}

func reapRWMutex(mem []byte, slot uint64) {
	bySlot(mem)[countOf(slot)].Store(0)
	change(mem, func(w uint64) uint64 {
		if w&slots == slot {
			w = rwLeft(w)
		}
		return w &^ (starving | turn)
	})
}

// rwLeft returns the word w without its holder, which no longer exists.
func rwLeft(w uint64) uint64 {
	if w&draining == 0 { // a draining holder has not started writing
		w |= died
	}
	return w &^ (slots | draining | starving | turn)
}
