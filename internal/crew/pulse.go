//go:build linux

package crew

import "time"

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
func (c *Crew) feel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beating = false
	now := time.Now()
	for _, m := range c.members {
		if m == nil || m.dead || m.work.Tasks() == 0 {
			continue
		}
		c.beat()
		if now.Sub(m.usage.news) < pulse {
			continue
		}
		if _, begun := m.work.Running(); !begun {
			m.link.Nudge()
		}
		m.link.Kick()
	}
}
