//go:build linux

package crew

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// Tasks with a timeout are watched by one timer for the whole crew, which looks
// now and then what each worker runs: a task that is seen running has begun at
// least then, so it is never ended early, and a task that is done within its
// time costs nothing. The alternative, a clock for each task in the worker,
// would cost a trivial task more than all the rest of it.

const (
	// looks is how often a timeout is looked at within its time.
	looks    = 8
	minLook  = time.Millisecond
	maxLook  = 250 * time.Millisecond
	noLimits = time.Duration(1<<63 - 1)
)

// watchdog is the crew's timer and what it needs; under the crew's lock.
type watchdog struct {
	timer    *time.Timer
	running  bool
	jobs     int           // open jobs with a timeout
	shortest time.Duration // of those since there was none
}

// A sighting is the first time that a task was seen running.
type sighting struct {
	job     uint64 // its number: the job itself could not be freed after its end
	seq     uint32
	at      time.Time
	expired bool

	odd time.Time // since when a later task has begun, as the worker says, than that of which the result is due
}

// timed begins to look after a job with a timeout.
func (c *Crew) timed(j *job) {
	w := &c.watchdog
	if w.jobs++; w.jobs == 1 || j.timeout < w.shortest {
		w.shortest = j.timeout
		c.lookIn(0)
	}
	if !w.running {
		c.lookIn(0)
	}
}

// lookIn arms the timer for the next look, in d or when one is due anyway.
func (c *Crew) lookIn(d time.Duration) {
	w := &c.watchdog
	due := min(max(w.shortest/looks, minLook), maxLook)
	if d <= 0 || d > due {
		d = due
	}
	w.running = true
	w.timer.Reset(d)
}

// look is the timer's: it ends the tasks whose time has passed.
func (c *Crew) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.watchdog
	if w.running = false; w.jobs == 0 || c.closed {
		return
	}
	now, next := time.Now(), noLimits
	for _, m := range c.members {
		if m != nil && !m.dead {
			next = min(next, m.sight(now))
		}
	}
	c.lookIn(next)
}

// sight looks what the worker runs, ends it if its time has passed, and returns
// how much it has left.
func (m *member) sight(now time.Time) time.Duration {
	task, begun := m.work.Running()
	if !begun {
		m.seen = sighting{}
		return noLimits
	}
	m.doubt(task, now)
	j := task.Job.Data.(*job)
	if m.seen.job != j.id || m.seen.seq != task.Seq {
		m.seen = sighting{job: j.id, seq: task.Seq, at: now, odd: m.seen.odd}
	}
	if j.timeout == 0 || m.seen.expired {
		return noLimits
	}
	left := j.timeout - now.Sub(m.seen.at)
	if left <= 0 {
		m.seen.expired = true
		m.crew.expire(running{m, task.Seq}, task)
		return noLimits
	}
	return left
}

// doubt ends a worker that says that it has begun a task, and has not committed the result of the one
// before. Of that one it could not be seen that its time has passed.
func (m *member) doubt(running sched.Chunk, now time.Time) {
	front, _ := m.work.Front()
	switch {
	case front.Seq == running.Seq || m.link.Uncollected():
		m.seen.odd = time.Time{}
	case m.seen.odd.IsZero():
		m.seen.odd = now
	case now.Sub(m.seen.odd) > leastGrace:
		go m.stuck(errNoResult) // which needs the lock
	}
}

// expire ends a task whose time has passed; under the lock.
func (c *Crew) expire(r running, task sched.Chunk) {
	j := task.Job.Data.(*job)
	c.end(r, j, &Expired{j.timeout}, true)
}

// Expired is the cause of ending a task whose timeout has passed.
type Expired struct{ Timeout time.Duration }

func (e *Expired) Error() string { return fmt.Sprintf("its timeout of %v has passed", e.Timeout) }

// Unwrap returns [context.DeadlineExceeded].
func (e *Expired) Unwrap() error { return context.DeadlineExceeded }
