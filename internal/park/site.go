package park

import (
	"container/list"
	"context"
	"math/bits"
	"sync/atomic"
)

// A Site is where this process's goroutines wait for one word that processes share. It
// is safe for concurrent use.
type Site struct {
	lot    *Lot
	mask   *atomic.Uint64 // in shared memory: the processes in which some wait
	bucket uint32
	queue  list.List // of *waiter; under the lot's lock
	all    bool
}

// Init makes a site for the word whose mask and bucket are given; these are the same
// in all processes. With all, everybody is called when the word has changed, else
// only the first in the queue, who passes it on.
func (s *Site) Init(l *Lot, mask *atomic.Uint64, bucket uint32, all bool) {
	s.lot, s.mask, s.bucket, s.all = l, mask, bucket%Buckets, all
}

// Until calls try until it returns true, at first and whenever the word may have
// changed; called says whether it was the caller's turn in the queue then. When the
// context ends first, it returns the context's error: the caller must pass on a
// wake-up that may have been meant for it.
func (s *Site) Until(ctx context.Context, try func(called bool) bool) error {
	w := s.Enter()
	defer s.Leave(w)
	for called := false; !try(called); called = true {
		if err := ctx.Err(); err != nil { // Sleep does not look at ctx while it keeps being called
			return err
		}
		if err := s.Sleep(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// A Waiter stands for one goroutine in a site's queue.
type Waiter struct{ w waiter }

// Enter puts the caller into the queue. From then on a change is not missed.
func (s *Site) Enter() *Waiter {
	w := &Waiter{waiter{bell: make(chan struct{}, 1)}}
	s.enter(w)
	return w
}

func (s *Site) enter(w *Waiter) {
	l := s.lot
	l.mu.Lock()
	w.w.place = s.queue.PushBack(&w.w)
	if s.queue.Len() == 1 {
		at := l.sites[s.bucket]
		if at == nil {
			at = map[*Site]struct{}{}
			l.sites[s.bucket] = at
		}
		at[s] = struct{}{}
	}
	l.waiting++
	l.mu.Unlock()
	s.announce()
}

// Sleep returns nil when the word may have changed, and the context's error when that
// ends. A later change is not missed.
func (s *Site) Sleep(ctx context.Context, w *Waiter) error {
	err := s.lot.sleep(ctx, &w.w)
	s.announce()
	return err
}

// Leave ends what Enter began.
func (s *Site) Leave(w *Waiter) {
	l := s.lot
	l.mu.Lock()
	defer l.mu.Unlock()
	s.queue.Remove(w.w.place)
	l.waiting--
	if s.queue.Len() > 0 {
		if w.w.called && !s.all {
			s.callNext() // it was told of a change at which it does not look any more
		}
		return
	}
	delete(l.sites[s.bucket], s)
	if len(l.sites[s.bucket]) == 0 {
		delete(l.sites, s.bucket)
	}
	for other := range l.sites[s.bucket] {
		if other.mask == s.mask {
			return // of a handle that took the place of a closed one
		}
	}
	s.mask.And(^uint64(1 << l.bit()))
	l.mail.ringOthers(l.slot, s.bucket)
}

// ringOthers rings the other processes that have the same bit in a mask.
func (m *Mail) ringOthers(slot int, bucket uint32) {
	for w := range m.used {
		if w != slot/64 && m.used[w].Load()>>(slot%64)&1 != 0 {
			m.box(w*64 + slot%64).note(bucket)
		}
	}
}

// announce says that somebody waits in this process.
func (s *Site) announce() {
	if bit := uint64(1) << s.lot.bit(); s.mask.Load()&bit == 0 {
		s.mask.Or(bit)
	}
}

// callNext calls who is to look at the word; under the lot's lock.
func (s *Site) callNext() {
	for e := s.queue.Front(); e != nil; e = e.Next() {
		s.lot.call(e.Value.(*waiter))
		if !s.all {
			return
		}
	}
}

// Waited reports whether anybody waits in any process.
func (s *Site) Waited() bool { return s.mask.Load() != 0 }

// WakeOne lets one process look at the word, another one than this if it can.
func (s *Site) WakeOne() {
	for range maskTries {
		mask := s.mask.Load()
		if mask == 0 {
			return
		}
		after := s.lot.bit() + 1
		bit := (bits.TrailingZeros64(bits.RotateLeft64(mask, -after)) + after) % 64
		if s.mask.CompareAndSwap(mask, mask&^(1<<bit)) {
			s.wake(bit)
			return
		}
	}
	s.WakeAll()
}

// maskTries is how often WakeOne tries to choose one process before it wakes all: a corrupt process may
// keep changing the mask.
const maskTries = 1 << 12

// WakeAll lets all processes look at the word, and reports whether any waited.
func (s *Site) WakeAll() bool {
	if !s.Waited() { // as a rule; to look is cheaper than to swap
		return false
	}
	all := s.mask.Swap(0)
	for mask := all; mask != 0; mask &= mask - 1 {
		s.wake(bits.TrailingZeros64(mask))
	}
	return all != 0
}

// WakeProcess lets the process that has slot look at the word.
func (s *Site) WakeProcess(slot int) {
	if slot == s.lot.slot {
		s.CallNext()
	} else {
		s.lot.mail.box(slot).note(s.bucket)
	}
}

// CallNext lets the first in this process's queue look at the word.
func (s *Site) CallNext() {
	s.lot.mu.Lock()
	defer s.lot.mu.Unlock()
	s.callNext()
}

// CallAll lets everybody in this process look at the word.
func (s *Site) CallAll() {
	s.lot.mu.Lock()
	defer s.lot.mu.Unlock()
	for e := s.queue.Front(); e != nil; e = e.Next() {
		s.lot.call(e.Value.(*waiter))
	}
}

func (s *Site) wake(bit int) {
	l := s.lot
	if bit != l.bit() {
		l.mail.ring(bit, s.bucket)
		return
	}
	l.mu.Lock()
	l.callAt(l.sites[s.bucket]) // as a note would: there may be two handles of an object
	l.mu.Unlock()
	l.mail.ringOthers(l.slot, s.bucket)
}
