package xsync

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A Cond lets holders of a Mutex wait for each other. Each process has a word that counts how many
// of its goroutines wait, how many of these have been signalled, and how many have taken a signal
// but do not have the lock yet. If a process dies before its goroutines get the lock, their signals
// go to other waiters.
type Cond struct {
	object
	lock  *Mutex
	queue park.WaitQueue
	words []atomic.Uint64
}

// The word of a process has three fields, from the lowest bits up: how many goroutines wait, how
// many of these have been signalled, and how many have taken a signal.
const (
	signalled = 1 << 21
	taken     = 1 << 42
)

func waitingAt(w uint64) uint64   { return w % signalled }
func signalledAt(w uint64) uint64 { return w / signalled % signalled }
func takenAt(w uint64) uint64     { return w / taken % signalled }

// NewCond creates a Cond in m, which must have Large bytes.
func NewCond(m Memory, lock *Mutex) *Cond {
	birth(m, 0)
	return OpenCond(m, lock)
}

// OpenCond opens the Cond that already exists in m.
func OpenCond(m Memory, lock *Mutex) *Cond {
	c := &Cond{lock: lock, words: bySlot(m.Bytes)}
	c.init(m)
	c.waitQueue(&c.queue, m, 0, false)
	return c
}

// Close closes the Cond, for all processes if this one owns it.
func (c *Cond) Close(owned bool) { c.close(owned, &c.queue) }

// check returns an error if this process does not hold the lock, or if the Cond is closed.
func (c *Cond) check() error {
	if !c.alive(c.word.Load()) {
		return errs.ErrClosed
	}
	return c.lock.CheckHeld()
}

// Wait releases the lock, waits for a signal and takes the lock again. If ctx ends first, Wait
// returns ctx's error with the lock held. The lock is also held if Wait returns ErrClosed, unless
// the lock itself is closed. After any other error, the lock is not held. Wait returns ErrNotHeld
// if this process did not hold the lock, or if another holder kept the lock for relockTimeout after
// ctx ended. In the latter case, a signal that Wait received goes to another waiter.
func (c *Cond) Wait(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	mine := &c.words[c.me]
	mine.Add(1)
	w := c.queue.Enter() // before the lock is released, so that no signal is missed

	err := c.lock.Unlock()
	took := false
	for err == nil && !took {
		// Only a goroutine that was called may take a signal: a signal that is there already is for
		// goroutines that came earlier.
		if err = c.queue.Sleep(ctx, w); err == nil {
			took = c.take()
		}
		switch {
		case took || err != nil:
		case !c.alive(c.word.Load()):
			err = errs.ErrClosed
		default:
			err = ctx.Err() // Sleep ignores ctx while it keeps being called
		}
	}

	c.queue.Leave(w)
	if err != nil && c.withdraw() {
		took, err = true, nil // a signal came at the last moment
	}
	if signalledAt(mine.Load()) > 0 || errors.Is(err, errs.ErrClosed) {
		c.queue.CallNext()
	}

	e := c.relock(ctx)
	if took {
		mine.Add(^uint64(taken - 1))
	}

	if e == nil {
		return err
	}
	if took {
		c.signalOne()
	}
	return e
}

// relockTimeout is how long Wait waits for the lock after its context has ended. An honest holder
// may need some time. Tests shorten it.
var relockTimeout = 5 * time.Second

// relock takes the lock again. It waits until ctx ends, and for relockTimeout after that.
func (c *Cond) relock(ctx context.Context) error {
	if c.lock.lockAtOnce() {
		return nil
	}
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	timeout := relockTimeout
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(timeout, cancel)
		context.AfterFunc(longer, func() { t.Stop() })
	})()
	err := c.lock.Lock(longer)
	if errors.Is(err, context.Canceled) {
		return errNotHeldAgain
	}
	return err
}

var errNotHeldAgain = fmt.Errorf("%w: the context of Cond.Wait has ended, and another holder keeps the lock", errs.ErrNotHeld)

// take takes a signal for the first goroutine in the queue, and reports whether there was one.
func (c *Cond) take() bool {
	mine := &c.words[c.me]
	for range tries {
		w := mine.Load()
		if signalledAt(w) == 0 || waitingAt(w) == 0 {
			return false
		}
		if mine.CompareAndSwap(w, w-signalled-1+taken) {
			return true
		}
	}
	return false
}

// withdraw ends a wait that took no signal. If as many goroutines have been signalled as wait, one
// of the signals is for this goroutine: withdraw then takes that signal and returns true.
func (c *Cond) withdraw() bool {
	mine := &c.words[c.me]
	for range tries {
		w := mine.Load()
		if waitingAt(w) == 0 { // a corrupt process has overwritten the word
			return false
		}

		next := w - 1
		last := signalledAt(w) >= waitingAt(w)
		if last {
			next += taken - signalled
		}
		if mine.CompareAndSwap(w, next) {
			return last
		}
	}
	return false
}

// Signal wakes one waiter, if there is one. The caller must hold the lock.
func (c *Cond) Signal() error {
	if err := c.check(); err != nil {
		return err
	}
	c.signalOne()
	return nil
}

// signalOne wakes one waiter. The caller need not hold the lock: a Wait that cannot act on its
// signal uses signalOne to pass the signal on.
func (c *Cond) signalOne() {
	if slot := signal(c.words, int(c.me), 1); slot >= 0 {
		c.queue.WakeProcess(slot)
	}
}

// Broadcast wakes all waiters. The caller must hold the lock.
func (c *Cond) Broadcast() error {
	if err := c.check(); err != nil {
		return err
	}
	signal(c.words, int(c.me), 1<<32)
	c.queue.WakeAll()
	return nil
}

// signal gives up to n signals to waiters, beginning with the slot after+1. It returns the slot
// that got the last signal, or -1 if there are no waiters.
func signal(words []atomic.Uint64, after int, n uint64) (last int) {
	last = -1
	budget := tries // for all words together: a corrupt process may keep overwriting each of them

	for i := range words {
		slot := (after + 1 + i) % len(words)
		for budget > 0 && n > 0 {
			w := words[slot].Load()
			more := min(n, waitingAt(w)-min(signalledAt(w), waitingAt(w)))
			if more == 0 {
				break
			}
			if words[slot].CompareAndSwap(w, w+more*signalled) {
				n -= more
				last = slot
			} else {
				budget--
			}
		}
	}

	return last
}

// reapCond passes on the signals that the dead process had received or taken.
func reapCond(mem []byte, slot uint64) {
	words := bySlot(mem)
	w := words[slot].Swap(0)
	signal(words, int(slot), min(signalledAt(w), waitingAt(w))+takenAt(w))
}
