package xsync

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A Semaphore is a number of permits. Its word contains that number and the flag starved.
type Semaphore struct {
	object
	queue park.WaitQueue
}

// starvedBit takes the place of the flag starving in a Semaphore, because the number of permits may
// reach the bit of starving.
const starvedBit = 1 << 31

// NewSemaphore creates a Semaphore with n permits; n must not be negative.
func NewSemaphore(m Memory, n int) *Semaphore {
	birth(m, uint64(n))
	return OpenSemaphore(m)
}

// OpenSemaphore opens the Semaphore that already exists in m.
func OpenSemaphore(m Memory) *Semaphore {
	s := &Semaphore{}
	s.init(m)
	s.waitQueue(&s.queue, m, 0, false)
	return s
}

// Close closes the Semaphore, for all processes if this one owns it.
func (s *Semaphore) Close(owned bool) { s.close(owned, &s.queue) }

// Acquire waits for a permit.
func (s *Semaphore) Acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ok, err := s.TryAcquire(); ok || err != nil {
		return err
	}

	began := time.Now()
	_, err := wait(ctx, &s.queue, func(called bool) (bool, error) {
		return s.try(called, called && time.Since(began) > starvationThreshold)
	})

	if err != nil {
		s.unset(starvedBit)
	} else {
		s.edge.acquire()
	}
	s.passOn()
	return err
}

// try takes a permit as Mutex.try takes a lock.
func (s *Semaphore) try(called, starve bool) (ok bool, err error) {
	err = s.update(func(w uint64) (uint64, error) {
		free := w&MaxPermits != 0
		ok = free && (called || w&starvedBit == 0)
		switch {
		case ok:
			return (w - 1) &^ starvedBit, nil
		case !free && starve:
			return w | starvedBit, nil
		}
		return w, nil
	})
	return ok && err == nil, err
}

// passOn wakes a waiter if there are permits left.
func (s *Semaphore) passOn() {
	if w := s.word.Load(); w&genOf == s.home && w&MaxPermits != 0 && s.queue.Waited() {
		s.queue.WakeOne()
	}
}

// TryAcquire takes a permit if one is free, and reports whether it did.
func (s *Semaphore) TryAcquire() (bool, error) {
	ok, err := s.try(false, false)
	if ok {
		s.edge.acquire()
	}
	return ok, err
}

// Release adds a permit. It returns ErrOverRelease if there are MaxPermits already.
func (s *Semaphore) Release() error {
	s.edge.release()
	err := s.giveUp(func(w uint64) (uint64, error) {
		if w&MaxPermits == MaxPermits {
			return w, errs.ErrOverRelease
		}
		return w + 1, nil
	})
	s.passOn()
	return err
}

// Available returns the number of permits at some moment during the call.
func (s *Semaphore) Available() (int, error) {
	w := s.word.Load()
	if !s.alive(w) {
		return 0, errs.ErrClosed
	}
	return int(w & MaxPermits), nil
}
