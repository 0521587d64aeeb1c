package park

import (
	"container/list"
	"context"
	"math/bits"
	"runtime"
	"sync"
	"time"
)

// A WaitTable manages the wait queues of this process. It is safe for concurrent use.
type WaitTable struct {
	// Heartbeat is how often the leader looks at everything, in case a process was stopped before
	// it passed on a wake-up. With many waiters the interval is longer. Heartbeat may be changed
	// before the first goroutine waits. Tests make it so long that they notice a lost wake-up.
	Heartbeat time.Duration

	mailboxes *Mailboxes
	slot      int
	mailbox   mailbox

	mu        sync.Mutex
	queues    map[uint32]map[*WaitQueue]struct{} // the wait queues that are not empty, by bucket
	leader    *waiter                            // the goroutine that sleeps in the kernel
	followers list.List                          // of *waiter: goroutines that sleep on their channels
	waiting   int
	beat      time.Time // the time of the next heartbeat
}

// NewWaitTable creates the WaitTable of the process with the given slot.
func NewWaitTable(m *Mailboxes, slot int) *WaitTable {
	return &WaitTable{Heartbeat: heartbeat, mailboxes: m, slot: slot, mailbox: m.mailbox(slot), queues: map[uint32]map[*WaitQueue]struct{}{}}
}

// Mailboxes returns the segment with the mailboxes.
func (l *WaitTable) Mailboxes() *Mailboxes { return l.mailboxes }

// Slot returns the number, from 1, of this process among the processes that share objects.
func (l *WaitTable) Slot() int { return l.slot }

// bit returns the number of this process's bit in a mask.
func (l *WaitTable) bit() int { return l.slot % 64 }

// A waiter is a waiting goroutine.
type waiter struct {
	elem   *list.Element // in the wait queue
	called bool          // it must look again
	wake   chan struct{} // signals that it must look again or lead; capacity 1
	of     *waiter       // nil, or the waiter of the Multi that this waiter is part of
}

// call makes a waiter look again. The caller must hold l.mu.
func (l *WaitTable) call(w *waiter) {
	if w.called {
		return
	}
	w.called = true
	switch {
	case w.of != nil:
		l.call(w.of)
	case w == l.leader:
		l.mailbox.poke()
	default:
		w.ring()
	}
}

func (w *waiter) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// sleep returns nil when w must look again, and ctx's error when ctx ends.
func (l *WaitTable) sleep(ctx context.Context, w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case w.called:
			w.called = false
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case l.leader == nil:
			l.lead(ctx, w)
		default:
			l.follow(ctx, w)
		}
	}
}

func (l *WaitTable) follow(ctx context.Context, w *waiter) {
	e := l.followers.PushBack(w)
	l.mu.Unlock()
	select {
	case <-w.wake:
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.followers.Remove(e)
	if w.called || ctx.Err() != nil {
		l.promote() // w may have been asked to lead
	}
}

// promote asks a follower to lead if there is no leader.
func (l *WaitTable) promote() {
	if e := l.followers.Front(); e != nil && l.leader == nil {
		e.Value.(*waiter).ring()
	}
}

const (
	heartbeat = 250 * time.Millisecond
	many      = 1000
)

// lead sleeps for all waiters until w is called or ctx ends.
func (l *WaitTable) lead(ctx context.Context, w *waiter) {
	l.leader = w
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, l.mailbox.poke)
		defer stop()
	}

	for {
		l.mailbox.wake() // sleep sees a later poke; the check below sees the cause of an earlier one
		if w.called || ctx.Err() != nil {
			break
		}

		limit := l.pause()
		l.mu.Unlock()
		letOthersRun()
		noted := l.mailbox.sleep(limit)
		l.mu.Lock()
		if l.deliver(noted, l.beats()) && !w.called {
			l.mu.Unlock()
			runtime.Gosched() // let the others run before this thread sleeps again
			l.mu.Lock()
		}
	}

	l.leader = nil
	l.promote()
}

// letOthersRun lets goroutines that are ready run if there is only one processor for them. A
// goroutine that sleeps in the kernel keeps the processor until the runtime notices, up to 10 ms
// later.
func letOthersRun() {
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.Gosched()
	}
}

// pause returns the time until the next heartbeat.
func (l *WaitTable) pause() time.Duration {
	if l.waiting == 1 {
		l.beat = time.Now().Add(l.Heartbeat)
	}
	return max(time.Until(l.beat), 0)
}

// beats reports whether a heartbeat is due.
func (l *WaitTable) beats() bool {
	now := time.Now()
	if now.Before(l.beat) {
		return false
	}
	next := l.Heartbeat
	if l.waiting > many {
		next *= 4
	}
	l.beat = now.Add(next)
	return true
}

// deliver calls the waiters that the notes concern. At a heartbeat, it calls the waiters whose turn
// it is in every queue. It reports whether it called any waiter.
func (l *WaitTable) deliver(n notes, beat bool) (called bool) {
	if n.everywhere || beat {
		for _, queues := range l.queues {
			called = l.callAt(queues) || called
		}
		return called
	}
	for i, set := range n.buckets {
		for ; set != 0; set &= set - 1 {
			called = l.callAt(l.queues[uint32(i*64+bits.TrailingZeros64(set))]) || called
		}
	}
	return called
}

func (l *WaitTable) callAt(queues map[*WaitQueue]struct{}) (called bool) {
	for s := range queues {
		s.callNext()
		called = true
	}
	return called
}

// Occupied reports whether a process has the slot, which may be any number. It costs one load of a
// word that only the root process can write.
func (l *WaitTable) Occupied(slot int) bool { return l.mailboxes.occupied(slot) }

// Any reports whether f returns true for the slot of any process.
func (l *WaitTable) Any(f func(slot int) bool) bool {
	for w := range l.mailboxes.used {
		for set := l.mailboxes.used[w].Load(); set != 0; set &= set - 1 {
			if f(w*64 + bits.TrailingZeros64(set)) {
				return true
			}
		}
	}
	return false
}
