//go:build linux

package crew

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// One timer for the whole pool watches the tasks that have a timeout. It regularly checks what each
// worker runs. The time of a task counts from the first check that sees it running, so a task is
// never ended early. A task that ends in time costs nothing. A clock for each task in the worker
// would cost more than a trivial task itself.

const (
	// looks is how often a task is checked within its timeout.
	looks    = 8
	minLook  = time.Millisecond
	maxLook  = 250 * time.Millisecond
	noLimits = time.Duration(1<<63 - 1)
)

// watchdog is the pool's timer for timeouts and its state. The pool's lock guards it.
type watchdog struct {
	timer    *time.Timer
	running  bool
	jobs     int           // open jobs with a timeout
	shortest time.Duration // the shortest timeout since there was no such job
}

// A sighting is the first time that a task was seen running.
type sighting struct {
	job     uint64 // the job's ID; a pointer would keep the job alive after its end
	seq     uint32
	at      time.Time
	expired bool

	// odd is when the worker first claimed to run a later task than the one whose result is due.
	odd time.Time
}

// timed starts to watch a job with a timeout. The caller must hold c.mu.
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

// lookIn arms the timer for the next check, in d or when the next regular check is due, whichever
// is earlier.
func (c *Crew) lookIn(d time.Duration) {
	w := &c.watchdog
	due := min(max(w.shortest/looks, minLook), maxLook)
	if d <= 0 || d > due {
		d = due
	}
	w.running = true
	w.timer.Reset(d)
}

// look ends the tasks whose timeouts have passed. A timer calls it.
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

// sight checks the task that the worker runs, ends it if its timeout has passed, and returns the
// time that it has left. The caller must hold the pool's lock.
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

// doubt ends a worker that claims to have started a task but has not committed the result of the
// one before. Otherwise the timeout of the earlier task could not be enforced. The caller must hold
// the pool's lock.
func (m *member) doubt(running sched.Chunk, now time.Time) {
	front, _ := m.work.Front()
	switch {
	case front.Seq == running.Seq || m.link.Uncollected():
		m.seen.odd = time.Time{}
	case m.seen.odd.IsZero():
		m.seen.odd = now
	case now.Sub(m.seen.odd) > leastGrace:
		// stuck locks the mutex.
		go m.stuck(errNoResult)
	}
}

// expire ends a task whose timeout has passed. The caller must hold c.mu.
func (c *Crew) expire(r running, task sched.Chunk) {
	j := task.Job.Data.(*job)
	c.end(r, j, &Expired{j.timeout}, true)
}

// Expired is the cause of ending a task whose timeout has passed.
type Expired struct{ Timeout time.Duration }

func (e *Expired) Error() string { return fmt.Sprintf("its timeout of %v has passed", e.Timeout) }

// Unwrap returns [context.DeadlineExceeded].
func (e *Expired) Unwrap() error { return context.DeadlineExceeded }
