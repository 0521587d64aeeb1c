//go:build linux

package crew

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// lastRites takes what the dead worker's pipes and socket still hold.
func (m *member) lastRites() Death {
	m.link.EndReading()
	m.outs.finish()
	m.errs.finish()
	<-m.ears
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	single := ""
	if m.crew.cfg.Single {
		single = m.name
	}
	return Death{Worker: m.number(), Single: single, PID: m.proc.PID, Status: m.proc.Status(), Stderr: m.errs.words(), Stacks: m.stacks, Cause: m.cause}
}

// bury accounts for all that the dead worker had: what it finished is
// delivered, what it had begun ends with its death, all else goes elsewhere. If it
// has destroyed what was known of that, all that it had ends with its death.
func (m *member) bury() {
	c := m.crew
	death := m.lastRites()
	_, err := m.collect()
	if bad := m.link.Check(); bad != nil {
		err = bad
	}
	if err != nil && death.Cause == nil { // it died before that was seen
		death.Cause = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m.death = death
	var lost, drops []run
	c.mu.Lock()
	_, m.tasks = m.link.Busy()
	if m.departing {
		c.departing = slices.DeleteFunc(c.departing, func(x *member) bool { return x == m })
	} else {
		c.members[m.number()-1] = nil
	}
	switch {
	case m.departing: // counted when it left
	case m.leaving:
		c.counts.Recycled++
	case m.proc.Status().Signal == 0 && m.proc.Status().ExitCode == 0 && c.draining && c.open == 0 || c.closed: // as it is to
	default:
		c.counts.Died++
	}
	c.countWorkers()
	c.sched.Dead(&m.work,
		func(sj *sched.Job, i int) {
			j := sj.Data.(*job)
			m.lost++
			if c.mayRetry(j, i, death.Cause) {
				c.sched.Return(sched.Chunk{Job: sj, Lo: i, N: 1}, c.drop)
				return
			}
			lost = append(lost, run{j, i, 1})
		},
		collectRuns(&drops))
	if c.closed {
		c.sched.Clear(collectRuns(&drops))
	}
	closed := c.closed
	c.distribute()
	c.mu.Unlock()
	m.link.Close()
	if closed && death.Cause == nil {
		drops, lost = append(drops, lost...), nil
	}
	c.settleAll(lost, func(*job) error { d := death; return &d })
	c.settleAll(drops, c.whyNot)
}

func collectRuns(runs *[]run) sched.Drop {
	return func(j *sched.Job, lo, n int) { *runs = append(*runs, run{j.Data.(*job), lo, n}) }
}

// lastWords is how long output that a dead worker's descendants may hold open
// is waited for.
const lastWords = 100 * time.Millisecond
