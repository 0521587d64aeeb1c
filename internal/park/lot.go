package park

import (
	"container/list"
	"context"
	"math/bits"
	"runtime"
	"sync"
	"time"
)

// A Lot is where the goroutines of this process wait. It is safe for concurrent use.
type Lot struct {
	// Heartbeat is how often the leader looks at everything, in case somebody was
	// stopped who had a wake-up to pass on; with many waiters it is slower. It may be
	// changed before the first one waits: a test makes it so long that a wake-up which
	// is lost is seen.
	Heartbeat time.Duration

	mail *Mail
	slot int
	box  box

	mu        sync.Mutex
	sites     map[uint32]map[*Site]struct{} // that are waited at, by bucket
	leader    *waiter                       // sleeps in the kernel
	followers list.List                     // of *waiter: sleep on their channels
	waiting   int
	beat      time.Time // the next
}

// NewLot makes the lot of the process that has slot.
func NewLot(m *Mail, slot int) *Lot {
	return &Lot{Heartbeat: heartbeat, mail: m, slot: slot, box: m.box(slot), sites: map[uint32]map[*Site]struct{}{}}
}

// Mail is the segment with the mailboxes.
func (l *Lot) Mail() *Mail { return l.mail }

// Slot is the number of this process among those that share objects, from 1.
func (l *Lot) Slot() int { return l.slot }

// bit is that of this process in a mask.
func (l *Lot) bit() int { return l.slot % 64 }

// waiter is a goroutine that waits.
type waiter struct {
	place  *list.Element // in the site's queue
	called bool          // it is to look again
	bell   chan struct{} // tells it so, or to lead; capacity 1
	of     *waiter       // nil, or that of the Multi which it is part of
}

// call makes a waiter look again; under the lock.
func (l *Lot) call(w *waiter) {
	if w.called {
		return
	}
	w.called = true
	switch {
	case w.of != nil:
		l.call(w.of)
	case w == l.leader:
		l.box.poke()
	default:
		w.ring()
	}
}

func (w *waiter) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// sleep returns nil when w is to look again, and the context's error when that ends.
func (l *Lot) sleep(ctx context.Context, w *waiter) error {
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

func (l *Lot) follow(ctx context.Context, w *waiter) {
	e := l.followers.PushBack(w)
	l.mu.Unlock()
	select {
	case <-w.bell:
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.followers.Remove(e)
	if w.called || ctx.Err() != nil {
		l.promote() // it may have been asked to lead
	}
}

// promote makes a follower the leader if there is none.
func (l *Lot) promote() {
	if e := l.followers.Front(); e != nil && l.leader == nil {
		e.Value.(*waiter).ring()
	}
}

const (
	heartbeat = 250 * time.Millisecond
	many      = 1000
)

// lead sleeps for everybody until w is called or its context ends.
func (l *Lot) lead(ctx context.Context, w *waiter) {
	l.leader = w
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, l.box.poke)
		defer stop()
	}
	for {
		l.box.wake() // who pokes after this is seen by sleep, who did before by what follows
		if w.called || ctx.Err() != nil {
			break
		}
		limit := l.pause()
		l.mu.Unlock()
		letOthersRun()
		noted := l.box.sleep(limit)
		l.mu.Lock()
		if l.deliver(noted, l.beats()) && !w.called {
			l.mu.Unlock()
			runtime.Gosched() // on to them, before this thread sleeps again
			l.mu.Lock()
		}
	}
	l.leader = nil
	l.promote()
}

// letOthersRun lets goroutines run that are ready, if there is only one processor for
// them: who sleeps in the kernel keeps it until the runtime notices, up to 10 ms later.
func letOthersRun() {
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.Gosched()
	}
}

// pause is how long it is to the next heartbeat.
func (l *Lot) pause() time.Duration {
	if l.waiting == 1 {
		l.beat = time.Now().Add(l.Heartbeat)
	}
	return max(time.Until(l.beat), 0)
}

// beats reports whether there is a heartbeat now.
func (l *Lot) beats() bool {
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

// deliver calls those whom notes concern; at a heartbeat it calls everybody whose turn
// it would be. It reports whether it has called anybody.
func (l *Lot) deliver(n notes, beat bool) (called bool) {
	if n.everywhere || beat {
		for _, sites := range l.sites {
			called = l.callAt(sites) || called
		}
		return called
	}
	for i, set := range n.buckets {
		for ; set != 0; set &= set - 1 {
			called = l.callAt(l.sites[uint32(i*64+bits.TrailingZeros64(set))]) || called
		}
	}
	return called
}

func (l *Lot) callAt(sites map[*Site]struct{}) (called bool) {
	for s := range sites {
		s.callNext()
		called = true
	}
	return called
}

// Occupied reports whether a process has the slot. slot may be any number. It costs one load of a
// word that only the root process can write.
func (l *Lot) Occupied(slot int) bool { return l.mail.occupied(slot) }

// Any reports whether f holds for the slot of any process.
func (l *Lot) Any(f func(slot int) bool) bool {
	for w := range l.mail.used {
		for set := l.mail.used[w].Load(); set != 0; set &= set - 1 {
			if f(w*64 + bits.TrailingZeros64(set)) {
				return true
			}
		}
	}
	return false
}
