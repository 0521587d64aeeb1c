//go:build linux

package crew

import (
	"errors"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// whyNot returns the error for a task of j that will not be run.
func (c *Crew) whyNot(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j.cause != nil {
		return &Cancelled{j.cause}
	}
	if !c.closed && c.lastWhy != nil { // a slot may have been filled since then
		return c.lastWhy
	}
	return errs.ErrClosed
}

// running is a task that has started on a worker.
type running struct {
	m   *member
	seq uint32
}

// cancel cancels a job. Tasks that have not started are settled. Running tasks have their contexts
// cancelled, and their workers are killed after the grace period. The argument late says that a
// deadline has passed.
func (c *Crew) cancel(j *job, cause error, late bool) {
	var drops []run
	drop := collectRuns(&drops)
	c.mu.Lock()
	if j.left == 0 || j.Cancel && (!j.spared || late) || c.closed {
		c.mu.Unlock()
		return
	}

	j.cause, j.spared = cause, late && c.cfg.Patient
	j.trace("cancelled", "why", cause.Error())
	c.sched.Drop(&j.Job, func(lo, n int) { drop(&j.Job, lo, n) })
	c.checkRoom()

	for _, m := range c.members {
		if m == nil || m.dead {
			continue
		}

		before := m.work.Tasks()
		seq, began := c.sched.Cancel(&m.work, &j.Job, drop)
		if !began {
			// It ended a moment ago, or the worker claims so.
			seq, began = m.work.Left(&j.Job)
		}
		if began {
			c.end(running{m, seq}, j, cause, late)
		}

		if m.sending == j && !c.cfg.Patient {
			time.AfterFunc(c.cfg.Grace, func() { m.killIfSending(j, cause) })
		}
		if m.work.Tasks() < before {
			m.link.Kick() // it may be waiting for the tasks that were taken back
		}
	}
	c.distribute()
	c.mu.Unlock()

	c.settleAll(drops, c.whyNot)
}

// end ends a running task. It cancels the task's context at once and kills the worker if the task
// is still running after the grace period. The caller must hold c.mu.
func (c *Crew) end(r running, j *job, cause error, late bool) {
	if late && c.cfg.Patient {
		return
	}
	_ = r.m.link.Cancel(r.seq, late) // on error the worker is killed after the grace period
	if c.cfg.Patient {
		return
	}
	time.AfterFunc(c.cfg.Grace, func() { c.killIfRunning(r, j, cause) })
}

// killIfRunning kills the worker of a task that ignores its context, after asking for the stacks of
// its goroutines.
func (c *Crew) killIfRunning(r running, j *job, cause error) {
	c.mu.Lock()
	runs := !c.closed && r.isRunning(j)
	c.mu.Unlock()
	if runs {
		r.m.askForStacks()
	}
	if !c.kill(r, j, cause) {
		time.AfterFunc(leastGrace, func() { c.killIfOverdue(r, j, cause, false) })
	}
}

// kill kills the worker of a task that is running. It reports whether nothing is left to do about
// the task.
func (c *Crew) kill(r running, j *job, cause error) (done bool) {
	var drops []run
	c.mu.Lock()
	open := !c.closed && r.isOpen()
	runs := open && r.isRunning(j)
	if runs {
		// The worker could finish the task at any moment. It must not start another one.
		c.sched.Behind(&r.m.work, r.seq, collectRuns(&drops))
		r.m.doomed, r.m.cause = true, cause
		c.distribute()
	} else {
		r.m.stacks = ""
	}

	if open && !runs {
		r.m.link.Kick() // its result may have come
	}
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
	if runs {
		r.m.proc.Kill()
	}
	return runs || !open
}

// killIfOverdue ends a worker that had started a task and now claims in its marks not to run it,
// but has not committed its result. Such a task would never end. The function checks twice to be
// sure.
func (c *Crew) killIfOverdue(r running, j *job, cause error, again bool) {
	if c.kill(r, j, cause) {
		return
	}

	c.mu.Lock()
	open := !c.closed && r.isOpen()
	late := open && r.m.link.Uncollected() // the pump is delayed
	c.mu.Unlock()

	switch {
	case late:
		time.AfterFunc(leastGrace, func() { c.killIfOverdue(r, j, cause, false) })
	case open && !again:
		time.AfterFunc(leastGrace/10, func() { c.killIfOverdue(r, j, cause, true) })
	case open:
		r.m.stuck(errNoResult)
	}
}

var errNoResult = errors.New("it has begun other tasks, but not ended the one before")

// stackTime is how long a worker may take to send its goroutines' stacks. A worker that is stopped
// or has no goroutine free does not answer.
const stackTime = 500 * time.Millisecond

// askForStacks asks the worker for its goroutines' stacks and waits for them.
func (m *member) askForStacks() {
	c := m.crew
	c.mu.Lock()
	ask := m.answer == nil
	if ask {
		m.answer = make(chan struct{})
	}
	answer := m.answer
	c.mu.Unlock()

	if ask {
		_ = m.link.AskStacks()
	}

	limit := time.NewTimer(stackTime)
	defer limit.Stop()

	select {
	case <-answer:
	case <-limit.C:
	case <-m.proc.Done():
	case <-c.closing:
	}
}

// mostStacks limits the kept bytes of a worker's stacks. Honest workers send no more.
const mostStacks = 64 << 10

// heardStacks keeps the beginning of the worker's answer.
func (m *member) heardStacks(data []byte) {
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	if m.answer != nil {
		m.stacks = string(data[:min(len(data), mostStacks)])
		close(m.answer)
		m.answer = nil
	}
}

// isOpen reports whether the task's result has not been collected. The caller must hold the pool's
// lock.
func (r running) isOpen() bool { return !r.m.dead && r.m.work.Has(r.seq) }

// isRunning reports whether the task is running, according to the worker. The caller must hold the
// pool's lock.
func (r running) isRunning(j *job) bool {
	task, begun := r.m.work.Running()
	return begun && task.Job == &j.Job && task.Seq == r.seq && !r.m.dead
}

// killIfSending ends a worker that does not read the argument of a cancelled task, unless the
// worker runs another task.
func (m *member) killIfSending(j *job, cause error) {
	c := m.crew

	c.mu.Lock()
	_, busy := m.work.Running()
	stuck := m.sending == j && !m.dead && !c.closed
	if stuck && !busy {
		m.doomed, m.cause = true, cause
	}
	c.mu.Unlock()

	switch {
	case stuck && busy:
		time.AfterFunc(c.cfg.Grace, func() { m.killIfSending(j, cause) })
	case stuck:
		m.proc.Kill()
	}
}

// patience is how long an idle worker waits before it takes tasks for which waking it did not seem
// worthwhile.
const patience = 2 * time.Millisecond
