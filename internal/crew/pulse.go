//go:build linux

package crew

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/link"
)

// A wake-up can get lost. A worker can empty its own doorbell, fill it so that it cannot ring, or
// leave its pipes to a process that reads them. Wake-ups that are sent to the worker can get lost
// in the same ways. The tasks there would wait forever, even if another task caused the loss. So
// the pool checks a worker that has tasks and has been silent for a while, and wakes it if it has
// started none of them. A worker without tasks costs nothing.

// pulse is how long a worker with tasks may be silent before it is checked, and the interval
// between checks.
const pulse = time.Second

// beat checks the workers regularly as long as one of them has tasks. The caller must hold c.mu.
func (c *Crew) beat() {
	if !c.beating && !c.closed {
		c.beating = true
		c.pulse.Reset(pulse)
	}
}

// feel checks the workers. A timer calls it.
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

// stall gives the tasks of a worker that starts none to others. The worker may be stopped, or stuck
// outside of a task. It gets no more tasks until it has passed all that it was sent. It keeps its
// tasks if no other worker could start them sooner, or while a large argument is on its way. The
// caller must hold the pool's lock.
func (m *member) stall() {
	c := m.crew
	if m.stalled || m.sending != nil || !c.hasOther(m) {
		return
	}
	m.stalled = true
	c.sched.TakeBack(&m.work, c.drop)
	c.distribute()
}

// suspect ends a worker that has started no task for as long as its first task may take, even if no
// other worker could run its tasks. No task is lost: the next worker gets them. The caller must
// hold the pool's lock.
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
	// If a task is left after TakeBack, the worker has started it after all.
	if c.sched.TakeBack(&m.work, c.drop); m.work.Tasks() == 0 {
		m.doomed = true
		if m.cause == nil {
			m.cause = fmt.Errorf("it has begun no task for %v", silent.Round(time.Millisecond))
		}
		m.proc.Kill()
	}
	c.distribute()
}

// hasOther reports whether a worker other than m takes tasks. The caller must hold c.mu.
func (c *Crew) hasOther(m *member) bool {
	return slices.ContainsFunc(c.members, func(x *member) bool {
		return x != nil && x != m && !x.dead && !x.doomed && !x.leaving && !x.stalled
	})
}

// isStalled reports whether the worker has yet to pass the tasks that were taken back from it. The
// caller must own the link and hold the pool's lock.
func (m *member) isStalled() bool {
	if m.stalled {
		tasks, _ := m.link.Room()
		m.stalled = tasks < link.MaxTasks
	}
	return m.stalled
}
