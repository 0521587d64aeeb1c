//go:build linux

package pool

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
)

// A slot is a position in which workers serve, one after another. The pool's lock guards it.
type slot struct {
	supervised bool // a supervisor keeps it filled
	vacant     bool // its worker ended because there was nothing to do
	served     int  // workers so far
	// wake tells the supervisor of a vacant slot that there is work, or the supervisor of a failing
	// slot to try again. Its capacity is 1.
	wake chan struct{}

	again   bool    // Resize requests an immediate attempt
	trouble trouble // failures since a worker last served
	// failing is set if so many starts failed that tasks no longer wait for this slot.
	failing bool
}

// trouble describes the failures to start a worker.
type trouble struct {
	failed int // consecutive failed starts
	since  time.Time
	why    error // the last failure
}

func (t *trouble) note(failed int, why error) {
	if t.failed == 0 {
		t.since = time.Now()
	}
	t.failed, t.why = failed, why
}

// Resize sets the number of slots to be filled. It starts new workers at once, even in slots whose
// previous starts failed. Workers in surplus slots finish their current tasks and then end. Their
// other tasks go to other workers. The error is ErrClosed if the pool is closed or shutting down.
func (p *Pool) Resize(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.draining {
		return errs.ErrClosed
	}
	p.resize(n, nil)
	return nil
}

// resize sets the number of slots. If first is not nil, it receives the outcome of each new slot's
// first start. The caller must hold p.mu.
func (p *Pool) resize(n int, first chan<- error) {
	p.want = n
	for len(p.slots) < n {
		p.slots = append(p.slots, &slot{wake: make(chan struct{}, 1)})
		p.workers = append(p.workers, nil)
	}

	for i, s := range p.slots {
		switch {
		case i < n && !s.supervised:
			s.supervised, s.vacant = true, false
			p.alive++
			p.broken = nil
			p.supervisors.Add(1)
			go p.supervise(i, first)
		case i < n && s.trouble.failed > 0:
			if s.failing {
				p.recovered(s)
			}

			s.again = true
			s.notify()
		case i >= n && p.workers[i] != nil:
			p.workers[i].leave(tooMany)
		case i >= n:
			s.notify()
		}
	}
	p.changed()
}

func (s *slot) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// changed wakes the callers that wait for slots to be filled. The caller must hold p.mu.
func (p *Pool) changed() {
	close(p.change)
	p.change = make(chan struct{})
}

// Ready waits until each slot has a worker or is empty for lack of tasks. If a slot cannot be
// filled, Ready returns the reason. If ctx ends or the pool is closed first, Ready returns ctx's
// error or ErrClosed.
func (p *Pool) Ready(ctx context.Context) error {
	for {
		filled, change, err := p.filled()
		if filled || err != nil {
			return err
		}

		select {
		case <-change:
		case <-ctx.Done():
			return cause.Of(ctx)
		}
	}
}

func (p *Pool) filled() (ok bool, change chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.draining {
		return false, nil, errs.ErrClosed
	}

	for i, s := range p.slots[:p.want] {
		switch w := p.workers[i]; {
		case !s.supervised:
			return false, nil, p.cfg.Death(p.lastWhy)
		case s.failing:
			return false, nil, p.cfg.Death(s.trouble.why)
		case !s.vacant && (!w.inService() || w.leaving):
			return false, p.change, nil
		}
	}
	return true, nil, nil
}

// wanted reports whether a slot must be filled again. If it returns false, the slot no longer has a
// supervisor, and the caller must return.
func (p *Pool) wanted(i int) bool {
	p.mu.Lock()
	if i < p.want && !p.closed && (!p.draining || p.open > 0) && !p.over() {
		p.mu.Unlock()
		return true
	}
	drops := p.abandonSlot(i, nil)
	p.mu.Unlock()
	p.settleAll(drops, p.whyNot)
	return false
}

// abandonSlot notes that a slot no longer has a supervisor. It returns tasks that the caller must
// settle. If why is nil, the supervisor left as intended. The caller must hold p.mu.
func (p *Pool) abandonSlot(i int, why error) (drops []run) {
	s := p.slots[i]
	s.supervised, s.trouble = false, trouble{}
	if why != nil {
		p.lastWhy = why
	}
	if !s.failing {
		drops = p.notAlive()
	}
	s.failing = false
	p.changed()
	return drops
}

// notAlive notes that tasks no longer wait for a slot. If tasks no longer wait for any slot, all
// waiting tasks end with the last failure, and later tasks fail with it, too, until a slot is
// filled. The caller must hold p.mu.
func (p *Pool) notAlive() (drops []run) {
	if j := p.sched.Next(); j != nil {
		p.wakeSlots(j.Pending()) // this slot may have been woken for the waiting tasks
	}
	if p.alive--; p.alive == 0 && p.lastWhy != nil && !p.closed {
		p.broken = p.lastWhy
		p.sched.Clear(collectRuns(&drops))
		close(p.room)
		p.room = make(chan struct{})
	}
	return drops
}

// over reports whether no further worker will be started: no worker has ever served, and every slot
// has failed too often. The caller must hold p.mu.
func (p *Pool) over() bool { return p.broken != nil && !p.served }

func (p *Pool) hasServed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served = true
}

// giveUp leaves a slot empty.
func (p *Pool) giveUp(i int, why error) {
	p.mu.Lock()
	drops := p.abandonSlot(i, why)
	p.mu.Unlock()
	p.settleAll(drops, p.whyNot)
}

// cannotFill notes the latest of several consecutive failures to fill a slot. It reports whether to
// keep trying.
func (p *Pool) cannotFill(i, failed int, why error) bool {
	p.mu.Lock()
	s := p.slots[i]
	if s.trouble.note(failed, why); !p.closed {
		p.distribute() // tasks may count on this slot
	}
	ending := p.closed || p.draining && p.open == 0

	lost := !s.failing && (failed >= p.cfg.Restart.Attempts || isPermanent(why) && !p.served)
	var drops []run
	if lost {
		s.failing, p.lastWhy = true, why
		drops = p.notAlive()
		p.changed()
	}
	over := p.over()
	if over {
		s.supervised, s.failing = false, false
	}
	p.mu.Unlock()

	if lost && p.cfg.Logger != nil && !ending {
		p.cfg.Logger.Error("mp: worker cannot be started", "worker", i+1, "attempts", failed, "error", why)
	}

	p.settleAll(drops, p.whyNot)
	return !over
}

// isFilled notes that a worker serves in a slot. If tasks had stopped waiting for the slot, it
// returns how long the slot could not be filled. The caller must hold p.mu.
func (p *Pool) isFilled(i int) (outage time.Duration) {
	s := p.slots[i]
	if s.failing {
		outage = time.Since(s.trouble.since)
		p.recovered(s)
	}
	s.trouble, s.again = trouble{}, false
	return outage
}

// recovered makes tasks wait for a slot again. The caller must hold p.mu.
func (p *Pool) recovered(s *slot) {
	s.failing = false
	p.alive++
	p.broken = nil
}

// awaitRetry waits before the next attempt to fill a slot. It reports whether Resize requested an
// immediate attempt.
func (p *Pool) awaitRetry(i int, d time.Duration) bool {
	p.mu.Lock()
	s := p.slots[i]
	p.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()

	for {
		select {
		case <-t.C:
			return false
		case <-p.closing:
			return false
		case <-s.wake:
		}
		p.mu.Lock()
		again, wanted := s.again, i < p.want
		s.again = false
		p.mu.Unlock()
		if again || !wanted {
			return again
		}

		// The token was stale.
	}
}

// awaitWork leaves a slot vacant until there is work.
func (p *Pool) awaitWork(i int) {
	p.mu.Lock()
	s := p.slots[i]
	s.vacant = p.sched.Next() == nil && !p.queues() && i < p.want && !p.closed && !p.draining
	vacant := s.vacant
	select {
	case <-s.wake: // drop a stale token
	default:
	}
	p.changed()
	p.mu.Unlock()

	if !vacant {
		return
	}

	select {
	case <-s.wake:
	case <-p.closing:
	}

	p.mu.Lock()
	s.vacant = false
	p.mu.Unlock()
}

// queues reports whether tasks wait behind others at some worker. Only an idle worker steals such
// tasks. The caller must hold p.mu.
func (p *Pool) queues() bool {
	for _, w := range p.workers {
		if w != nil && !w.dead && w.work.Tasks() > 1 {
			return true
		}
	}
	return false
}

// wakeSlots fills up to n vacant slots. The caller must hold p.mu.
func (p *Pool) wakeSlots(n int) {
	for _, s := range p.slots {
		if n <= 0 {
			return
		}
		if s.vacant {
			s.vacant = false
			s.notify()
			n--
		}
	}
}
