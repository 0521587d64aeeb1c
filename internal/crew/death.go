//go:build linux

package crew

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// lastRites reads what the dead worker's pipes and socket still hold, and returns how the worker
// ended.
func (m *member) lastRites() Death {
	m.unwatchMemory()
	m.link.EndReading()
	m.outs.finish()
	m.errs.finish()
	<-m.ears

	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	if m.proc.Status().Stuck {
		m.crew.lingers(m)
	}

	single := ""
	if m.crew.cfg.Single {
		single = m.name
	}

	words := m.errs.words()
	return Death{
		Worker: m.number(), Single: single, PID: m.proc.PID, Status: m.proc.Status(), Stderr: words, Stacks: m.stacks, Cause: m.cause,
		Starved: m.hadMuch && crashedInRuntime(words),
	}
}

// bury reaps a dead worker. It delivers the results of the tasks that the worker finished and ends
// the tasks that it had started. All other tasks go elsewhere. If the worker has corrupted the
// record of its progress, all its tasks end.
func (m *member) bury() {
	c := m.crew
	death := m.lastRites()
	_, err := m.collect()
	if bad := m.link.CheckAll(); bad != nil {
		err = bad
	}
	// The worker may have died before the corruption was seen, or was killed for something that it
	// pretended.
	if err != nil && !errors.Is(death.Cause, ErrCorrupt) {
		death.Cause = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m.death = death

	c.mu.Lock()
	m.leavesPlace()
	m.trace("ended", "status", death.Status.String(), "why", m.countEnd())
	c.countWorkers()
	lost, drops := m.unfinished()
	closed := c.closed
	ran := time.Since(m.usage.news)
	c.distribute()
	c.mu.Unlock()

	m.traceLost("has lost a task", lost)
	if len(lost) > 0 {
		c.noteSlow(lost[0].job, lost[0].lo, Slow{Worker: m.number(), Took: ran, Lost: true})
	}
	m.link.Close()
	m.broker.close()
	if closed && death.Cause == nil {
		drops, lost = append(drops, lost...), nil
	}
	c.settleAll(lost, func(j *job) error {
		d := death
		d.Func = j.fn
		return &d
	})
	c.settleAll(drops, c.whyNot)
}

// leavesPlace empties the worker's slot, unless the worker has left it already. The caller must
// hold the pool's lock.
func (m *member) leavesPlace() {
	c := m.crew
	if m.departing {
		c.departing = slices.DeleteFunc(c.departing, func(x *member) bool { return x == m })
	} else {
		c.members[m.number()-1] = nil
	}
}

// countEnd counts the end of a dead worker and returns its reason. The caller must hold the pool's
// lock.
func (m *member) countEnd() (why string) {
	c := m.crew
	status := m.death.Status
	dismissed := c.draining && c.open == 0 && (status.Lost || status.Signal == 0 && status.ExitCode == 0)

	switch {
	case m.departing: // it was counted when it left
		return m.why
	case m.leaving:
		c.counts.Recycled++
		c.noteEnd(m, m.why)
		return m.why
	case dismissed, c.closed:
		return "the pool ends"
	}

	why = whyDied(m.death)
	c.counts.Died++
	c.noteEnd(m, why)
	return why
}

// unfinished returns the tasks that the dead worker was running, and the tasks that will not be
// run. Tasks that other workers will run are returned to the scheduler. The caller must hold the
// pool's lock.
func (m *member) unfinished() (lost, drops []run) {
	c := m.crew
	c.sched.Dead(&m.work,
		func(sj *sched.Job, i int) {
			j := sj.Data.(*job)
			m.lost++
			if c.mayRetry(j, i, m.death.Cause) {
				m.traceLost("has left a task that will be retried", []run{{j, i, 1}})
				c.sched.Return(sched.Chunk{Job: sj, Lo: i, N: 1}, c.drop)
				return
			}
			lost = append(lost, run{j, i, 1})
		},
		collectRuns(&drops))

	if c.closed {
		c.sched.Clear(collectRuns(&drops))
	}
	return lost, drops
}

func collectRuns(runs *[]run) sched.Drop {
	return func(j *sched.Job, lo, n int) { *runs = append(*runs, run{j.Data.(*job), lo, n}) }
}

// lastWords is how long to wait for the rest of a dead worker's output. Its descendants may hold
// the pipes open.
const lastWords = 100 * time.Millisecond
