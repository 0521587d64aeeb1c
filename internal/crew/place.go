//go:build linux

package crew

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
)

// A place is where one worker after the other serves; under the crew's lock.
type place struct {
	kept   bool          // a keeper keeps it filled
	vacant bool          // there was nothing to do for its worker
	served int           // workers so far
	wake   chan struct{} // tells the keeper of a vacant one that there is, or of a hopeless one that it is to try again; capacity 1

	again    bool    // Resize asks for another attempt at once
	trouble  trouble // since it was filled last
	hopeless bool    // it does not count: its worker failed to start so often that tasks do not wait for it
}

// trouble is why there is no worker.
type trouble struct {
	failed int // starts, one after the other
	since  time.Time
	why    error // of the last
}

func (t *trouble) note(failed int, why error) {
	if t.failed == 0 {
		t.since = time.Now()
	}
	t.failed, t.why = failed, why
}

// Resize sets how many places are to be filled. New workers start at once, and
// so do those of places that could not be filled. Workers of places that are too
// many finish what they run; what they have not begun goes to others.
func (c *Crew) Resize(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.draining {
		return errs.ErrClosed
	}
	c.resize(n, nil)
	return nil
}

// resize tells first how the first start of each new place went, unless it is
// nil.
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

// changed tells those who wait for the places to be filled.
func (c *Crew) changed() {
	close(c.change)
	c.change = make(chan struct{})
}

// Ready waits until each place is filled, or is empty for want of work. It
// returns the reason when one cannot be filled.
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

// wanted reports whether a place is to be filled again, and leaves it otherwise.
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

// leavePlace notes that a place has no keeper any more; why is nil if that is as
// it should be.
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

// notAlive notes that tasks do not wait for a place any more. When that was the last one, every task that waits
// ends with the reason of the last that could not be filled, and so will every later one until a place is filled.
func (c *Crew) notAlive() (drops []run) {
	if j := c.sched.Next(); j != nil {
		c.rousePlaces(j.Pending()) // it may have been roused for them
	}
	if c.alive--; c.alive == 0 && c.lastWhy != nil && !c.closed {
		c.broken = c.lastWhy
		c.sched.Clear(collectRuns(&drops))
		close(c.room)
		c.room = make(chan struct{})
	}
	return drops
}

// over reports whether no worker will be started any more: none has ever served, and all places were tried often
// enough. The lock is held.
func (c *Crew) over() bool { return c.broken != nil && !c.served }

func (c *Crew) hasServed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = true
}

// giveUp leaves a place empty.
func (c *Crew) giveUp(i int, why error) {
	c.mu.Lock()
	drops := c.leavePlace(i, why)
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
}

// cannotFill notes that a place could not be filled, so often in a row. It reports whether to go on trying.
func (c *Crew) cannotFill(i, failed int, why error) bool {
	c.mu.Lock()
	p := c.places[i]
	if p.trouble.note(failed, why); !c.closed {
		c.distribute() // tasks may count on this place
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

// isFilled notes that a worker serves in a place, and returns how long tasks did not wait for that. The lock is held.
func (c *Crew) isFilled(i int) (outage time.Duration) {
	p := c.places[i]
	if p.hopeless {
		outage = time.Since(p.trouble.since)
		c.hope(p)
	}
	p.trouble, p.again = trouble{}, false
	return outage
}

// hope has tasks wait for a place again. The lock is held.
func (c *Crew) hope(p *place) {
	p.hopeless = false
	c.alive++
	c.broken = nil
}

// awaitRetry waits before the next attempt to fill a place. It reports whether Resize has
// asked for that meanwhile.
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
		// The token was of another time.
	}
}

// awaitWork leaves a place vacant until there is something to do.
func (c *Crew) awaitWork(i int) {
	c.mu.Lock()
	p := c.places[i]
	p.vacant = c.sched.Next() == nil && !c.queues() && i < c.want && !c.closed && !c.draining
	vacant := p.vacant
	select {
	case <-p.wake: // of another time
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

// queues reports whether tasks wait behind others at some worker: only one that is
// idle will take them from there.
func (c *Crew) queues() bool {
	for _, m := range c.members {
		if m != nil && !m.dead && m.work.Tasks() > 1 {
			return true
		}
	}
	return false
}

// rousePlaces fills up to n vacant places.
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
