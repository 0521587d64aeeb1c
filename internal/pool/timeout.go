//go:build linux

package pool

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// One timer for the whole pool watches the tasks that have a timeout. It regularly checks which
// task each worker is running. A task's time counts from the first check that sees the task
// running, so no task is ended early. A task that ends in time costs nothing. Timing each task in
// the worker would cost more than a trivial task itself.

const (
	// checksPerTimeout is how often a task is checked within its timeout.
	checksPerTimeout = 8
	minCheckInterval = time.Millisecond
	maxCheckInterval = 250 * time.Millisecond
	noLimits         = time.Duration(1<<63 - 1)
)

// watchdog is the pool's timer for timeouts and the timer's state. The pool's lock guards it.
type watchdog struct {
	timer    *time.Timer
	running  bool
	jobs     int           // open jobs with a timeout
	shortest time.Duration // the shortest timeout of the jobs since jobs was last 0
}

// A sighting is the first time that a task was seen running.
type sighting struct {
	job     uint64 // the job's ID; a pointer would keep the job alive after its end
	seq     uint32
	at      time.Time
	expired bool

	// odd is when the worker first claimed to run a later task than the one whose result is due
	// next.
	odd time.Time
}

// timed starts watching a job that has a timeout. The caller must hold p.mu.
func (p *Pool) timed(j *job) {
	w := &p.watchdog
	if w.jobs++; w.jobs == 1 || j.timeout < w.shortest {
		w.shortest = j.timeout
		p.scheduleCheck(0)
	}
	if !w.running {
		p.scheduleCheck(0)
	}
}

// scheduleCheck arms the timer for the next check: in d, if d is positive, or when the next regular
// check is due, whichever is earlier.
func (p *Pool) scheduleCheck(d time.Duration) {
	w := &p.watchdog
	due := min(max(w.shortest/checksPerTimeout, minCheckInterval), maxCheckInterval)
	if d <= 0 || d > due {
		d = due
	}
	w.running = true
	w.timer.Reset(d)
}

// checkTimeouts ends the tasks whose timeouts have passed. A timer calls it.
func (p *Pool) checkTimeouts() {
	p.mu.Lock()
	defer p.mu.Unlock()

	w := &p.watchdog
	if w.running = false; w.jobs == 0 || p.closed {
		return
	}

	now, next := time.Now(), noLimits
	for _, w := range p.workers {
		if w != nil && !w.dead {
			next = min(next, w.checkTimeout(now))
		}
	}
	p.scheduleCheck(next)
}

// checkTimeout checks the task that the worker is running, and ends the task if its timeout has
// passed. It returns how much time the task has left. The caller must hold the pool's lock.
func (w *worker) checkTimeout(now time.Time) time.Duration {
	task, begun := w.work.Running()
	if !begun {
		w.seen = sighting{}
		return noLimits
	}

	w.checkOrder(task, now)
	j := task.Job.Data.(*job)
	if w.seen.job != j.id || w.seen.seq != task.Seq {
		w.seen = sighting{job: j.id, seq: task.Seq, at: now, odd: w.seen.odd}
	}

	if j.timeout == 0 || w.seen.expired {
		return noLimits
	}

	left := j.timeout - now.Sub(w.seen.at)
	if left <= 0 {
		w.seen.expired = true
		w.pool.expire(running{w, task.Seq}, task)
		return noLimits
	}
	return left
}

// checkOrder ends a worker that claims to have started a task but has not committed the previous
// task's result. Without this check, the previous task's timeout could not be enforced. The caller
// must hold the pool's lock.
func (w *worker) checkOrder(running sched.Chunk, now time.Time) {
	front, _ := w.work.Front()
	switch {
	case front.Seq == running.Seq || w.link.Uncollected():
		w.seen.odd = time.Time{}
	case w.seen.odd.IsZero():
		w.seen.odd = now
	case now.Sub(w.seen.odd) > minGrace:
		// On a goroutine of its own, because stuck locks the pool's mutex.
		go w.stuck(errNoResult)
	}
}

// expire ends a task whose timeout has passed. The caller must hold p.mu.
func (p *Pool) expire(r running, task sched.Chunk) {
	j := task.Job.Data.(*job)
	p.end(r, j, &Expired{j.timeout}, true)
}

// Expired is the cause for ending a task whose timeout has passed.
type Expired struct{ Timeout time.Duration }

func (e *Expired) Error() string { return fmt.Sprintf("its timeout of %v has passed", e.Timeout) }

// Unwrap returns [context.DeadlineExceeded].
func (e *Expired) Unwrap() error { return context.DeadlineExceeded }
