//go:build linux

package crew

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/cause"
)

// A place is where one worker after the other serves; under the crew's lock.
type place struct {
	kept   bool          // a keeper keeps it filled
	vacant bool          // there was nothing to do for its worker
	served int           // workers so far
	wake   chan struct{} // tells the keeper of a vacant one that there is; capacity 1
}

// Resize sets how many places are to be filled. New workers start at once, and
// places that had been given up are tried again. Workers of places that are too
// many finish what they run; what they have not begun goes to others.
func (c *Crew) Resize(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.draining {
		return ErrClosed
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
			c.broken, c.lastWhy = nil, nil
			c.keepers.Add(1)
			go c.keep(i, first)
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
// returns the reason when one has been given up.
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
		return false, nil, ErrClosed
	}
	for i, p := range c.places[:c.want] {
		switch m := c.members[i]; {
		case !p.kept:
			return false, nil, c.cfg.Death(c.lastWhy)
		case !p.vacant && (!m.inService() || m.leaving):
			return false, c.change, nil
		}
	}
	return true, nil, nil
}

// wanted reports whether a place is to be filled again, and leaves it otherwise.
func (c *Crew) wanted(i int) bool {
	c.mu.Lock()
	if i < c.want && !c.closed && (!c.draining || c.open > 0) {
		c.mu.Unlock()
		return true
	}
	drops := c.leavePlace(i, nil)
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
	return false
}

// leavePlace notes that a place has no keeper any more; why is nil if that is as
// it should be. When no place is left that could be filled, every task that waits
// ends with the reason of the last that could not be, and so will every later
// one.
func (c *Crew) leavePlace(i int, why error) (drops []run) {
	c.places[i].kept = false
	if why != nil {
		c.lastWhy = why
	}
	if j := c.sched.Next(); j != nil {
		c.rousePlaces(j.Pending()) // it may have been roused for them
	}
	if c.alive--; c.alive == 0 && c.lastWhy != nil && !c.closed {
		c.broken = c.lastWhy
		c.sched.Clear(collectRuns(&drops))
		close(c.room)
		c.room = make(chan struct{})
	}
	c.changed()
	return drops
}

// giveUp leaves a place empty.
func (c *Crew) giveUp(i int, why error) {
	c.mu.Lock()
	drops := c.leavePlace(i, why)
	ending := c.closed || c.draining && c.open == 0
	c.mu.Unlock()
	if c.cfg.Logger != nil && !c.cfg.Single && !ending {
		c.cfg.Logger.Error("mp: worker given up", "worker", i+1, "error", why)
	}
	c.settleAll(drops, c.whyNot)
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
