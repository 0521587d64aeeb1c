//go:build linux

package crew

import (
	"slices"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// steal moves tasks from busy workers back to the queue for the worker thief. It reports whether it
// took any, and whether it left some that may be stolen later. The caller must hold c.mu.
func (c *Crew) steal(thief *member, patient bool) (took, left bool) {
	if c.closed {
		return false, false
	}

	others := c.others[:0]
	for _, m := range c.members {
		if m != nil && m != thief && !m.dead {
			others = append(others, &m.work)
		}
	}
	c.others = others

	return c.sched.Steal(others, patient, c.drop)
}

// dropLater settles elements of a cancelled job. The caller may hold c.mu.
func (c *Crew) dropLater(j *sched.Job, lo, n int) {
	go c.settleAll([]run{{j.Data.(*job), lo, n}}, c.whyNot)
}

// checkBehind rebalances soon if tasks of m wait behind others while a worker could run them. That
// worker may have found nothing to do while the tasks were neither in the queue nor with m. The
// caller must hold c.mu.
func (c *Crew) checkBehind(m *member) {
	if m.work.Tasks() > 1 && (len(c.idle) > 0 || slices.ContainsFunc(c.places, func(p *place) bool { return p.vacant })) {
		c.rebalanceSoon()
	}
}

func (c *Crew) rebalanceSoon() {
	if !c.armed {
		c.armed = true
		c.balance.Reset(patience)
	}
}

// rebalance moves tasks to idle workers if they wait elsewhere. A timer calls it.
func (c *Crew) rebalance() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	if c.closed {
		return
	}

	left := c.sched.Next() != nil
	if !left && len(c.idle) > 0 {
		_, left = c.steal(nil, false)
	}
	if !left && len(c.idle) == 0 && c.queues() {
		c.rousePlaces(1) // the worker that comes there will be idle, and steal
	}

	if j := c.sched.Next(); j != nil {
		c.rouse(j)
	}

	if left && len(c.idle) > 0 {
		c.rebalanceSoon()
	}
}
