//go:build linux

package crew

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
)

// A place is a slot. Workers serve in it one after another. The pool's lock guards it.
type place struct {
	kept   bool // a keeper keeps it filled
	vacant bool // its worker ended because there was nothing to do
	served int  // workers so far
	// wake tells the keeper of a vacant slot that there is work, or the keeper of a failing slot to
	// try again. Its capacity is 1.
	wake chan struct{}

	again   bool    // Resize requests an immediate attempt
	trouble trouble // since a worker last served
	// hopeless is set if so many starts failed that tasks no longer wait for this slot.
	hopeless bool
}

// trouble says why there is no worker.
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

// Resize sets the number of slots to be filled. It starts new workers at once, also in slots whose
// worker could not be started. Workers in surplus slots finish their current tasks. Their other
// tasks go to other workers. The error is ErrClosed if the pool is closed or shutting down.
func (c *Crew) Resize(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.draining {
		return errs.ErrClosed
	}
	c.resize(n, nil)
	return nil
}

// resize sets the number of slots. If first is not nil, it receives the outcome of each new slot's
// first start. The caller must hold c.mu.
func (c *Crew) resize(n int, first chan<- error) {
	c.want = n
	for len(c.places) < n {
		c.places = append(c.places, &place{wake: make(chan struct{}, 1)})
		c.members = append(c.members, nil)
	}

	for i, p := range c.places {
		switch {
		case i < n && !p.kept:
			p.kept, p.vacant = true, false
			c.alive++
			c.broken = nil
			c.keepers.Add(1)
			go c.keep(i, first)
		case i < n && p.trouble.failed > 0:
			if p.hopeless {
				c.hope(p)
			}

			p.again = true
			p.rouse()
		case i >= n && c.members[i] != nil:
			c.members[i].leave(tooMany)
		case i >= n:
			p.rouse()
		}
	}
	c.changed()
}

func (p *place) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// changed wakes the callers that wait for slots to be filled. The caller must hold c.mu.
func (c *Crew) changed() {
	close(c.change)
	c.change = make(chan struct{})
}

// Ready waits until each slot has a worker or is empty for lack of tasks. If a slot cannot be
// filled, the error is the reason. Otherwise it is ctx's error or ErrClosed.
func (c *Crew) Ready(ctx context.Context) error {
	for {
		filled, change, err := c.filled()
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

func (c *Crew) filled() (ok bool, change chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.draining {
		return false, nil, errs.ErrClosed
	}

	for i, p := range c.places[:c.want] {
		switch m := c.members[i]; {
		case !p.kept:
			return false, nil, c.cfg.Death(c.lastWhy)
		case p.hopeless:
			return false, nil, c.cfg.Death(p.trouble.why)
		case !p.vacant && (!m.inService() || m.leaving):
			return false, c.change, nil
		}
	}
	return true, nil, nil
}

// wanted reports whether a slot must be filled again. If not, its keeper gives it up.
func (c *Crew) wanted(i int) bool {
	c.mu.Lock()
	if i < c.want && !c.closed && (!c.draining || c.open > 0) && !c.over() {
		c.mu.Unlock()
		return true
	}
	drops := c.leavePlace(i, nil)
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
	return false
}

// leavePlace notes that a slot no longer has a keeper. A nil why means that the keeper left as
// intended. The caller must hold c.mu.
func (c *Crew) leavePlace(i int, why error) (drops []run) {
	p := c.places[i]
	p.kept, p.trouble = false, trouble{}
	if why != nil {
		c.lastWhy = why
	}
	if !p.hopeless {
		drops = c.notAlive()
	}
	p.hopeless = false
	c.changed()
	return drops
}

// notAlive notes that tasks no longer wait for a slot. After the last such slot, all waiting tasks
// end with the last failure, and so do later tasks until a slot is filled. The caller must hold
// c.mu.
func (c *Crew) notAlive() (drops []run) {
	if j := c.sched.Next(); j != nil {
		c.rousePlaces(j.Pending()) // this slot may have been roused for them
	}
	if c.alive--; c.alive == 0 && c.lastWhy != nil && !c.closed {
		c.broken = c.lastWhy
		c.sched.Clear(collectRuns(&drops))
		close(c.room)
		c.room = make(chan struct{})
	}
	return drops
}

// over reports whether no further worker will be started: no worker has ever served, and every slot
// has failed too often. The caller must hold c.mu.
func (c *Crew) over() bool { return c.broken != nil && !c.served }

func (c *Crew) hasServed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = true
}

// giveUp leaves a slot empty.
func (c *Crew) giveUp(i int, why error) {
	c.mu.Lock()
	drops := c.leavePlace(i, why)
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
}

// cannotFill notes the latest of several consecutive failures to fill a slot. It reports whether to
// keep trying.
func (c *Crew) cannotFill(i, failed int, why error) bool {
	c.mu.Lock()
	p := c.places[i]
	if p.trouble.note(failed, why); !c.closed {
		c.distribute() // tasks may count on this slot
	}
	ending := c.closed || c.draining && c.open == 0

	lost := !p.hopeless && (failed >= c.cfg.Restart.Attempts || isPermanent(why) && !c.served)
	var drops []run
	if lost {
		p.hopeless, c.lastWhy = true, why
		drops = c.notAlive()
		c.changed()
	}
	over := c.over()
	if over {
		p.kept, p.hopeless = false, false
	}
	c.mu.Unlock()

	if lost && c.cfg.Logger != nil && !ending {
		c.cfg.Logger.Error("mp: worker cannot be started", "worker", i+1, "attempts", failed, "error", why)
	}

	c.settleAll(drops, c.whyNot)
	return !over
}

// isFilled notes that a worker serves in a slot. It returns for how long tasks did not wait for the
// slot. The caller must hold c.mu.
func (c *Crew) isFilled(i int) (outage time.Duration) {
	p := c.places[i]
	if p.hopeless {
		outage = time.Since(p.trouble.since)
		c.hope(p)
	}
	p.trouble, p.again = trouble{}, false
	return outage
}

// hope makes tasks wait for a slot again. The caller must hold c.mu.
func (c *Crew) hope(p *place) {
	p.hopeless = false
	c.alive++
	c.broken = nil
}

// awaitRetry waits before the next attempt to fill a slot. It reports whether Resize requested an
// immediate attempt.
func (c *Crew) awaitRetry(i int, d time.Duration) bool {
	c.mu.Lock()
	p := c.places[i]
	c.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()

	for {
		select {
		case <-t.C:
			return false
		case <-c.closing:
			return false
		case <-p.wake:
		}
		c.mu.Lock()
		again, wanted := p.again, i < c.want
		p.again = false
		c.mu.Unlock()
		if again || !wanted {
			return again
		}

		// The token was stale.
	}
}

// awaitWork leaves a slot vacant until there is work.
func (c *Crew) awaitWork(i int) {
	c.mu.Lock()
	p := c.places[i]
	p.vacant = c.sched.Next() == nil && !c.queues() && i < c.want && !c.closed && !c.draining
	vacant := p.vacant
	select {
	case <-p.wake: // drop a stale token
	default:
	}
	c.changed()
	c.mu.Unlock()

	if !vacant {
		return
	}

	select {
	case <-p.wake:
	case <-c.closing:
	}

	c.mu.Lock()
	p.vacant = false
	c.mu.Unlock()
}

// queues reports whether tasks wait behind others at some worker. Only an idle worker steals them.
// The caller must hold c.mu.
func (c *Crew) queues() bool {
	for _, m := range c.members {
		if m != nil && !m.dead && m.work.Tasks() > 1 {
			return true
		}
	}
	return false
}

// rousePlaces fills up to n vacant slots. The caller must hold c.mu.
func (c *Crew) rousePlaces(n int) {
	for _, p := range c.places {
		if n <= 0 {
			return
		}
		if p.vacant {
			p.vacant = false
			p.rouse()
			n--
		}
	}
}
