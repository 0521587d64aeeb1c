//go:build linux

package crew

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	// attempts is how often in a row a worker may fail to start before its
	// place is given up; backoff is the wait before the second.
	attempts = 5
	backoff  = 50 * time.Millisecond
)

func isPermanent(err error) bool {
	var s *StartError
	return errors.As(err, &s) && s.Permanent
}

// supervise keeps one place in the crew filled.
func (c *Crew) supervise(slot int) {
	defer c.slots.Done()
	told := false
	tell := func(err error) {
		if !told {
			told = true
			c.first <- err
		}
	}
	for failed := 0; ; {
		m, err := c.start(slot, func() { tell(nil) })
		if err != nil {
			tell(err)
		} else if m.serve() {
			failed = -1
		} else {
			err = &StartError{Worker: slot + 1, Started: true, Last: m.death, Err: fmt.Errorf("it ended by itself without a task, %v%s", m.death.Status, m.death.saying())}
		}
		if c.cfg.Single {
			c.giveUp(slot, c.endSingle(m, err))
			return
		}
		if c.ending() {
			return
		}
		if failed++; killed(err) {
			failed = min(failed, 1) // that says nothing about the next one
		}
		if failed >= attempts || isPermanent(err) {
			c.giveUp(slot, err)
			return
		}
		if failed > 0 && !c.pause(backoff<<(failed-1)) {
			return
		}
	}
}

// endSingle tells of the end of a worker that is not replaced, and returns why it
// will run nothing any more.
func (c *Crew) endSingle(m *member, err error) error {
	if m == nil {
		var s *StartError
		if errors.As(err, &s) && s.Started && c.cfg.OnEnd != nil {
			c.cfg.OnEnd(s.Last)
		}
		if s != nil && s.Last.Status.Signal != 0 {
			return &s.Last
		}
		return err
	}
	if c.cfg.OnEnd != nil {
		c.cfg.OnEnd(m.death)
	}
	death := m.death
	return &death
}

// serve runs a worker in service until it is dead. It reports whether its place
// may be filled again at once: it has done something, or lived for a while, or
// was killed, by us or by somebody else.
func (m *member) serve() (useful bool) {
	m.pump()
	m.bury()
	return m.death.Cause != nil || m.tasks > 0 || m.lost > 0 || time.Since(m.started) > worthy ||
		m.death.Status.Signal == syscall.SIGKILL // somebody did; that says nothing about the next one
}

// worthy is how long a worker must live without a task not to count as one that
// cannot be started.
const worthy = time.Second

// killed reports whether a worker that failed was killed from outside.
func killed(err error) bool {
	var s *StartError
	return errors.As(err, &s) && s.Killed
}

func (c *Crew) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.draining && c.open == 0
}

func (c *Crew) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closing:
		return false
	}
}

// giveUp leaves a place empty. When it was the last, every task that waits
// ends with the reason, and so will every later one.
func (c *Crew) giveUp(slot int, why error) {
	c.mu.Lock()
	var drops []run
	if c.alive--; c.alive == 0 {
		c.broken = why
		c.sched.Clear(collectRuns(&drops))
		close(c.room)
		c.room = make(chan struct{})
	}
	c.mu.Unlock()
	if c.cfg.Logger != nil && !c.cfg.Single && !c.ending() {
		c.cfg.Logger.Error("mp: worker given up", "worker", slot+1, "error", why)
	}
	c.settleAll(drops, c.whyNot)
}
