//go:build linux

package crew

import (
	"context"
	"errors"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// grace is how long a task has to end after its context was cancelled before
// its worker is killed.
const grace = 250 * time.Millisecond

// whyNot is the error of a task of j that will not be run.
func (c *Crew) whyNot(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j.cause != nil {
		return &Cancelled{j.cause}
	}
	if c.broken != nil {
		return c.broken
	}
	return ErrClosed
}

// running is a task that has begun on a member.
type running struct {
	m   *member
	seq uint32
}

// cancel ends a job: what has not begun is settled, what runs is told, and
// killed if it does not listen.
func (c *Crew) cancel(j *job, cause error) {
	var drops []run
	var told []running
	drop := func(lo, n int) { drops = append(drops, run{j, lo, n}) }

	c.mu.Lock()
	if j.left == 0 || j.Cancel {
		c.mu.Unlock()
		return
	}
	j.cause = cause
	c.sched.Drop(&j.Job, drop)
	c.checkRoom()
	for _, m := range c.members {
		if m == nil || m.dead {
			continue
		}
		before := m.work.Tasks()
		if seq, began := c.sched.Cancel(&m.work, &j.Job, drop); began {
			told = append(told, running{m, seq})
		}
		if m.work.Tasks() < before {
			m.link.Kick() // it may be waiting for what was taken back
		}
	}
	c.distribute()
	c.mu.Unlock()

	c.settleAll(drops, c.whyNot)
	for _, r := range told {
		time.AfterFunc(grace, func() { c.killIfRunning(r, j, cause) })
		_ = r.m.link.Cancel(r.seq, errors.Is(cause, context.DeadlineExceeded))
	}
}

// killIfRunning ends a task that has ignored its context.
func (c *Crew) killIfRunning(r running, j *job, cause error) {
	c.mu.Lock()
	task, begun := r.m.work.Running()
	kill := begun && task.Job == &j.Job && task.Seq == r.seq && !r.m.dead
	if kill {
		r.m.cause = cause
	}
	c.mu.Unlock()
	if kill {
		r.m.proc.Kill()
	}
}

// giveBack returns claimed elements to the queue.
func (c *Crew) giveBack(ch sched.Chunk) {
	c.sched.Return(ch)
	c.distribute()
}

// patience is how long an idle worker waits before it takes work that looked
// too little to bother.
const patience = 2 * time.Millisecond

// steal moves queued work back to the queue for an idle member.
func (c *Crew) steal(thief *member, patient bool) (took, left bool) {
	others := c.others[:0]
	for _, m := range c.members {
		if m != nil && m != thief && !m.dead {
			others = append(others, &m.work)
		}
	}
	c.others = others
	return c.sched.Steal(others, patient)
}

func (c *Crew) rebalanceSoon() {
	if !c.armed {
		c.armed = true
		c.balance.Reset(patience)
	}
}

// rebalance is the timer's: somebody may be idle while tasks wait elsewhere.
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
	if j := c.sched.Next(); j != nil {
		c.rouse(j)
	}
	if left && len(c.idle) > 0 {
		c.rebalanceSoon()
	}
}
