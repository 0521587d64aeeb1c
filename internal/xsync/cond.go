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

// A Cond lets holders of a Mutex wait for each other. Each process has a word with how
// many of its goroutines wait, how many of these have been signalled, and how many have
// taken a signal but do not have the lock yet: the signals of a process that dies
// before go to others.
type Cond struct {
	object
	lock  *Mutex
	queue park.Site
	words []atomic.Uint64
}

// The word of a process has three numbers: from the lowest bit on how many wait, and from
// these on how many of them are signalled, and how many have taken a signal.
const (
	signalled = 1 << 21
	taken     = 1 << 42
)

func waitingAt(w uint64) uint64   { return w % signalled }
func signalledAt(w uint64) uint64 { return w / signalled % signalled }
func takenAt(w uint64) uint64     { return w / taken % signalled }

// NewCond makes a Cond in Large bytes.
func NewCond(m Memory, lock *Mutex) *Cond {
	birth(m, 0)
	return OpenCond(m, lock)
}

// OpenCond returns the Cond that is there already.
func OpenCond(m Memory, lock *Mutex) *Cond {
	c := &Cond{lock: lock, words: bySlot(m.Bytes)}
	c.init(m)
	c.site(&c.queue, m, 0, false)
	return c
}

// Close makes it closed: for everybody if this process owns it.
func (c *Cond) Close(owned bool) { c.close(owned, &c.queue) }

// check returns an error if the lock is not held, or the Cond closed.
func (c *Cond) check() error {
	if !c.alive(c.word.Load()) {
		return errs.ErrClosed
	}
	return c.lock.Held()
}

// Wait gives the lock up, waits for a signal and takes the lock again. When the
// context ends first, it returns the context's error, and the lock is held. It is also held on ErrClosed,
// unless the lock itself is closed. On any other error it is not held: the error is ErrNotHeld if this process
// did not hold it, or if another holder kept it for relockPatience after the context ended.
// Then a signal that it had received goes to another waiter.
func (c *Cond) Wait(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	mine := &c.words[c.me]
	mine.Add(1)
	w := c.queue.Enter() // before the lock is free, so that no signal is missed
	err := c.lock.Unlock()
	took := false
	for err == nil && !took {
		// Not before it is called: a signal that is there already is for those
		// who came before.
		if err = c.queue.Sleep(ctx, w); err == nil {
			took = c.take()
		}
		switch {
		case took || err != nil:
		case !c.alive(c.word.Load()):
			err = errs.ErrClosed
		default:
			err = ctx.Err() // Sleep does not look at ctx while it keeps being called
		}
	}
	c.queue.Leave(w)
	if err != nil && c.withdraw() {
		took, err = true, nil // signalled in the last moment
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

// relockPatience is how long Wait waits for the lock after its context has ended, since an honest holder may
// need some time. Tests make it shorter.
var relockPatience = 5 * time.Second

// relock takes the lock again. It waits until ctx ends, and for relockPatience more.
func (c *Cond) relock(ctx context.Context) error {
	if c.lock.lockAtOnce() {
		return nil
	}
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	patience := relockPatience
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(patience, cancel)
		context.AfterFunc(longer, func() { t.Stop() })
	})()
	err := c.lock.Lock(longer)
	if errors.Is(err, context.Canceled) {
		return errNotHeldAgain
	}
	return err
}

var errNotHeldAgain = fmt.Errorf("%w: the context of Cond.Wait has ended, and another holder keeps the lock", errs.ErrNotHeld)

// take takes a signal, for the first in the queue.
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

// withdraw ends waiting without a signal, and returns true if there must have been one:
// as many are signalled as wait.
func (c *Cond) withdraw() bool {
	mine := &c.words[c.me]
	for range tries {
		w := mine.Load()
		if waitingAt(w) == 0 { // it was overwritten
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

// Signal wakes one that waits, if there is one. The lock must be held.
func (c *Cond) Signal() error {
	if err := c.check(); err != nil {
		return err
	}
	c.signalOne()
	return nil
}

// signalOne wakes one that waits, whoever holds the lock: for Signal, and for a Wait that cannot act on its signal.
func (c *Cond) signalOne() {
	if slot := signal(c.words, int(c.me), 1); slot >= 0 {
		c.queue.WakeProcess(slot)
	}
}

// Broadcast wakes all that wait. The lock must be held.
func (c *Cond) Broadcast() error {
	if err := c.check(); err != nil {
		return err
	}
	signal(c.words, int(c.me), 1<<32)
	c.queue.WakeAll()
	return nil
}

// signal gives n signals to those who wait, beginning behind a slot, and returns the
// slot of the last of them; -1 if nobody waits.
func signal(words []atomic.Uint64, after int, n uint64) (last int) {
	last = -1
	budget := tries // for all words together: a corrupt process may keep overwriting each
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

// buryCond gives on what the dead had been signalled.
func buryCond(mem []byte, slot uint64) {
	words := bySlot(mem)
	w := words[slot].Swap(0)
	signal(words, int(slot), min(signalledAt(w), waitingAt(w))+takenAt(w))
}
