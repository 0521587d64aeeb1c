package park

import (
	"container/list"
	"context"
	"math/bits"
	"sync/atomic"
)

// A WaitQueue is this process's wait queue for one word that processes share. It is safe for
// concurrent use.
type WaitQueue struct {
	table  *WaitTable
	mask   *atomic.Uint64 // in shared memory: the processes with waiters
	bucket uint32
	queue  list.List // of *waiter; guarded by table.mu
	all    bool
}

// Init sets up a wait queue for the word with the given mask and bucket, which are the same in all
// processes. If all is set, a change of the word calls every waiter. If not, it calls only the
// first waiter in the queue, which passes the call on.
func (s *WaitQueue) Init(l *WaitTable, mask *atomic.Uint64, bucket uint32, all bool) {
	s.table, s.mask, s.bucket, s.all = l, mask, bucket%Buckets, all
}

// Until calls try until it returns true: first at once, and then whenever the word may have
// changed. The argument called says whether the caller was called from the queue. If ctx ends
// first, Until returns ctx's error, and the caller must pass on a wake-up that may have been meant
// for it.
func (s *WaitQueue) Until(ctx context.Context, try func(called bool) bool) error {
	w := s.Enter()
	defer s.Leave(w)
	for called := false; !try(called); called = true {
		if err := ctx.Err(); err != nil { // Sleep ignores ctx while it keeps being called
			return err
		}
		if err := s.Sleep(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// A Waiter represents one goroutine in a wait queue.
type Waiter struct{ w waiter }

// Enter puts the caller into the queue. From then on, the caller misses no change.
func (s *WaitQueue) Enter() *Waiter {
	w := &Waiter{waiter{wake: make(chan struct{}, 1)}}
	s.enter(w)
	return w
}

func (s *WaitQueue) enter(w *Waiter) {
	l := s.table
	l.mu.Lock()
	w.w.elem = s.queue.PushBack(&w.w)
	if s.queue.Len() == 1 {
		at := l.queues[s.bucket]
		if at == nil {
			at = map[*WaitQueue]struct{}{}
			l.queues[s.bucket] = at
		}
		at[s] = struct{}{}
	}
	l.waiting++
	l.mu.Unlock()
	s.announce()
}

// Sleep returns nil when the word may have changed, and ctx's error when ctx ends. The caller
// misses no later change.
func (s *WaitQueue) Sleep(ctx context.Context, w *Waiter) error {
	err := s.table.sleep(ctx, &w.w)
	s.announce()
	return err
}

// Leave takes the caller out of the queue.
func (s *WaitQueue) Leave(w *Waiter) {
	l := s.table
	l.mu.Lock()
	defer l.mu.Unlock()
	s.queue.Remove(w.w.elem)

	l.waiting--
	if s.queue.Len() > 0 {
		if w.w.called && !s.all {
			s.callNext() // the waiter will not act on the change for which it was called
		}
		return
	}
	delete(l.queues[s.bucket], s)
	if len(l.queues[s.bucket]) == 0 {
		delete(l.queues, s.bucket)
	}

	for other := range l.queues[s.bucket] {
		if other.mask == s.mask {
			return // of a handle that replaced a closed one
		}
	}

	s.mask.And(^uint64(1 << l.bit()))
	l.mailboxes.ringOthers(l.slot, s.bucket)
}

// ringOthers notes a bucket for the other processes that share slot's bit in a mask.
func (m *Mailboxes) ringOthers(slot int, bucket uint32) {
	for w := range m.used {
		if w != slot/64 && m.used[w].Load()>>(slot%64)&1 != 0 {
			m.mailbox(w*64 + slot%64).note(bucket)
		}
	}
}

// announce records in the mask that a goroutine of this process waits.
func (s *WaitQueue) announce() {
	if bit := uint64(1) << s.table.bit(); s.mask.Load()&bit == 0 {
		s.mask.Or(bit)
	}
}

// callNext calls the waiters whose turn it is. The caller must hold the WaitTable's mu.
func (s *WaitQueue) callNext() {
	for e := s.queue.Front(); e != nil; e = e.Next() {
		s.table.call(e.Value.(*waiter))
		if !s.all {
			return
		}
	}
}

// Waited reports whether a goroutine of any process waits.
func (s *WaitQueue) Waited() bool { return s.mask.Load() != 0 }

// WakeOne makes one process look at the word, if possible one other than this process.
func (s *WaitQueue) WakeOne() {
	for range maskTries {
		mask := s.mask.Load()
		if mask == 0 {
			return
		}
		after := s.table.bit() + 1
		bit := (bits.TrailingZeros64(bits.RotateLeft64(mask, -after)) + after) % 64
		if s.mask.CompareAndSwap(mask, mask&^(1<<bit)) {
			s.wake(bit)
			return
		}
	}
	s.WakeAll()
}

// maskTries is how often WakeOne tries to choose one process before it wakes all of them. A corrupt
// process may keep changing the mask.
const maskTries = 1 << 12

// WakeAll makes all processes look at the word, and reports whether any waited.
func (s *WaitQueue) WakeAll() bool {
	if !s.Waited() { // the usual case; a load is cheaper than a swap
		return false
	}
	all := s.mask.Swap(0)
	for mask := all; mask != 0; mask &= mask - 1 {
		s.wake(bits.TrailingZeros64(mask))
	}
	return all != 0
}

// WakeProcess makes the process with the given slot look at the word.
func (s *WaitQueue) WakeProcess(slot int) {
	if slot == s.table.slot {
		s.CallNext()
	} else {
		s.table.mailboxes.mailbox(slot).note(s.bucket)
	}
}

// CallNext calls the waiters of this process whose turn it is.
func (s *WaitQueue) CallNext() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.callNext()
}

// CallAll calls all waiters of this process.
func (s *WaitQueue) CallAll() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	for e := s.queue.Front(); e != nil; e = e.Next() {
		s.table.call(e.Value.(*waiter))
	}
}

// wake makes the processes that share a bit of the mask look at the word.
func (s *WaitQueue) wake(bit int) {
	l := s.table
	if bit != l.bit() {
		l.mailboxes.ring(bit, s.bucket)
		return
	}
	l.mu.Lock()
	l.callAt(l.queues[s.bucket]) // by bucket, as a note would: the object may have two handles
	l.mu.Unlock()
	l.mailboxes.ringOthers(l.slot, s.bucket)
}
