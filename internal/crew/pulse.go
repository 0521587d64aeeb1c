//go:build linux

package crew

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/link"
)

// A wake-up can get lost: a worker can empty its own bell, fill it so that it cannot ring, or
// leave its pipes to a process that reads them; so could the wake-ups that it is sent. Whoever
// has a task there would wait for ever, and the task need not be the one that did it. So a
// worker that has tasks, and has been silent for a while, is looked at, and is woken if it has
// begun none. One that has nothing to do costs nothing.

// pulse is how long a worker with tasks is silent before it is looked at, and is how often
// then.
const pulse = time.Second

// beat has the workers looked at as long as one has tasks; under the lock.
func (c *Crew) beat() {
	if !c.beating && !c.closed {
		c.beating = true
		c.pulse.Reset(pulse)
	}
}

// feel is the timer's.
func (c *Crew) feel() { c.feelAt(time.Now()) }

func (c *Crew) feelAt(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beating = false
	for _, m := range c.members {
		if m == nil || m.dead || m.work.Tasks() == 0 && !m.stalled {
			continue
		}
		c.beat()
		if now.Sub(m.usage.news) < pulse {
			continue
		}
		if _, begun := m.work.Running(); !begun {
			m.link.Nudge()
			m.stall()
			m.suspect(now)
		}
		m.link.Kick()
	}
}

// stall gives the tasks of a worker that begins none to others, and gives it no more of them
// until it has passed all that it was sent: it may be stopped, or stuck outside of a task. It
// keeps what nobody else could begin sooner, and a large argument that is on its way. The lock
// is held.
func (m *member) stall() {
	c := m.crew
	if m.stalled || m.sending != nil || !c.hasOther(m) {
		return
	}
	m.stalled = true
	c.sched.TakeBack(&m.work, c.drop)
	c.distribute()
}

// suspect ends a worker that has begun none of its tasks for as long as the first of them may take, though no other
// one could run it. Nothing is lost: the next worker gets them. The lock is held.
func (m *member) suspect(now time.Time) {
	c := m.crew
	front, ok := m.work.Front()
	if !ok || m.doomed || m.sending != nil || c.cfg.Patient {
		return
	}
	silent, timeout := now.Sub(m.usage.news), front.Job.Data.(*job).timeout
	if timeout == 0 || silent < timeout+max(c.cfg.Grace, leastGrace) {
		return
	}
	m.stalled = true
	if c.sched.TakeBack(&m.work, c.drop); m.work.Tasks() == 0 { // else it has begun one after all
		m.doomed = true
		if m.cause == nil {
			m.cause = fmt.Errorf("it has begun no task for %v", silent.Round(time.Millisecond))
		}
		m.proc.Kill()
	}
	c.distribute()
}

// hasOther reports whether a worker in service beside m takes tasks.
func (c *Crew) hasOther(m *member) bool {
	return slices.ContainsFunc(c.members, func(x *member) bool {
		return x != nil && x != m && !x.dead && !x.doomed && !x.leaving && !x.stalled
	})
}

// isStalled reports whether the worker has yet to pass what was taken back from it. The lock
// is held, by the owner of the link.
func (m *member) isStalled() bool {
	if m.stalled {
		tasks, _ := m.link.Room()
		m.stalled = tasks < link.MaxTasks
	}
	return m.stalled
}
