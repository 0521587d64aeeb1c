//go:build linux

package pool

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// whyNot returns the error for a task of j that will not be run.
func (p *Pool) whyNot(j *job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.cause != nil {
		return &Cancelled{j.cause}
	}
	if !p.closed && p.lastWhy != nil { // a slot may have been filled since then
		return p.lastWhy
	}
	return errs.ErrClosed
}

// running is a task that has started on a worker.
type running struct {
	w   *worker
	seq uint32
}

// cancel cancels a job. It settles the tasks that have not started. It cancels the contexts of
// running tasks, and workers that still run such a task after the grace period are killed. The
// argument late says that a deadline has passed.
func (p *Pool) cancel(j *job, cause error, late bool) {
	var drops []run
	drop := collectRuns(&drops)
	why := ""
	if p.cfg.Trace {
		why = fmt.Sprint(cause) // this runs the user's code, which must not run under the lock
	}

	p.mu.Lock()
	if j.left == 0 || j.Cancel && (!j.spared || late) || p.closed {
		p.mu.Unlock()
		return
	}

	j.cause, j.spared = cause, late && p.cfg.Patient
	j.trace("cancelled", "why", why)
	p.sched.Drop(&j.Job, func(lo, n int) { drop(&j.Job, lo, n) })
	p.checkRoom()

	for _, w := range p.workers {
		if w == nil || w.dead {
			continue
		}

		before := w.work.Tasks()
		seq, began := p.sched.Cancel(&w.work, &j.Job, drop)
		if !began {
			// The task ended a moment ago, or the worker claims that it did.
			seq, began = w.work.Left(&j.Job)
		}
		if began {
			p.end(running{w, seq}, j, cause, late)
		}

		if w.sending == j && !p.cfg.Patient {
			time.AfterFunc(p.cfg.Grace, func() { w.killIfSending(j, cause) })
		}
		if w.work.Tasks() < before {
			w.link.Kick() // the pump may be waiting for the tasks that were taken back
		}
	}
	p.distribute()
	p.mu.Unlock()

	p.settleAll(drops, p.whyNot)
}

// end ends a running task. It cancels the task's context at once and kills the worker if the task
// is still running after the grace period. The caller must hold p.mu.
func (p *Pool) end(r running, j *job, cause error, late bool) {
	if late && p.cfg.Patient {
		return
	}
	_ = r.w.link.Cancel(r.seq, late) // if this fails, the worker is killed after the grace period
	if p.cfg.Patient {
		return
	}
	time.AfterFunc(p.cfg.Grace, func() { p.killIfRunning(r, j, cause) })
}

// killIfRunning kills the worker of a task that ignores its context. It first asks the worker for
// the stacks of its goroutines.
func (p *Pool) killIfRunning(r running, j *job, cause error) {
	p.mu.Lock()
	runs := !p.closed && r.isRunning(j)
	p.mu.Unlock()
	if runs {
		r.w.askForStacks()
	}
	if !p.kill(r, j, cause) {
		time.AfterFunc(minGrace, func() { p.killIfOverdue(r, j, cause, false) })
	}
}

// kill kills the worker of a task if the task is running. It reports whether nothing is left to do
// about the task.
func (p *Pool) kill(r running, j *job, cause error) (done bool) {
	var drops []run
	p.mu.Lock()
	open := !p.closed && r.isOpen()
	runs := open && r.isRunning(j)
	if runs {
		// The worker could finish the task at any moment, and must not start another.
		p.sched.Behind(&r.w.work, r.seq, collectRuns(&drops))
		r.w.killing, r.w.cause = true, cause
		p.distribute()
	} else {
		r.w.stacks = ""
	}

	if open && !runs {
		r.w.link.Kick() // the task's result may have arrived
	}
	p.mu.Unlock()
	p.settleAll(drops, p.whyNot)
	if runs {
		r.w.proc.Kill()
	}
	return runs || !open
}

// killIfOverdue ends a worker that had started a task and now claims in its marks that it is not
// running the task, but has not committed the task's result. Such a task would never end.
// killIfOverdue checks twice to be sure.
func (p *Pool) killIfOverdue(r running, j *job, cause error, again bool) {
	if p.kill(r, j, cause) {
		return
	}

	p.mu.Lock()
	open := !p.closed && r.isOpen()
	late := open && r.w.link.Uncollected() // the pump is delayed
	p.mu.Unlock()

	switch {
	case late:
		time.AfterFunc(minGrace, func() { p.killIfOverdue(r, j, cause, false) })
	case open && !again:
		time.AfterFunc(minGrace/10, func() { p.killIfOverdue(r, j, cause, true) })
	case open:
		r.w.stuck(errNoResult)
	}
}

var errNoResult = errors.New("it has begun other tasks, but not ended the one before")

// stackTime is how long a worker may take to send its goroutines' stacks. A worker that is stopped,
// or that has no goroutine to spare, does not answer.
const stackTime = 500 * time.Millisecond

// askForStacks asks the worker for its goroutines' stacks and waits for them.
func (w *worker) askForStacks() {
	p := w.pool
	p.mu.Lock()
	ask := w.answer == nil
	if ask {
		w.answer = make(chan struct{})
	}
	answer := w.answer
	p.mu.Unlock()

	if ask {
		_ = w.link.AskStacks()
	}

	limit := time.NewTimer(stackTime)
	defer limit.Stop()

	select {
	case <-answer:
	case <-limit.C:
	case <-w.proc.Done():
	case <-p.closing:
	}
}

// maxStacks is the maximum number of bytes of a worker's stacks that are kept. An honest worker
// does not send more.
const maxStacks = 64 << 10

// heardStacks keeps the beginning of the worker's answer.
func (w *worker) heardStacks(data []byte) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.answer != nil {
		w.stacks = string(data[:min(len(data), maxStacks)])
		close(w.answer)
		w.answer = nil
	}
}

// isOpen reports whether the task's result has not been collected. The caller must hold the pool's
// lock.
func (r running) isOpen() bool { return !r.w.dead && r.w.work.Has(r.seq) }

// isRunning reports whether the task is running, according to the worker. The caller must hold the
// pool's lock.
func (r running) isRunning(j *job) bool {
	task, begun := r.w.work.Running()
	return begun && task.Job == &j.Job && task.Seq == r.seq && !r.w.dead
}

// killIfSending ends a worker that does not read the argument of a cancelled task, unless the
// worker runs another task.
func (w *worker) killIfSending(j *job, cause error) {
	p := w.pool

	p.mu.Lock()
	_, busy := w.work.Running()
	stuck := w.sending == j && !w.dead && !p.closed
	if stuck && !busy {
		w.killing, w.cause = true, cause
	}
	p.mu.Unlock()

	switch {
	case stuck && busy:
		time.AfterFunc(p.cfg.Grace, func() { w.killIfSending(j, cause) })
	case stuck:
		w.proc.Kill()
	}
}

// rebalanceDelay is how long an idle worker waits before it takes tasks that did not seem worth
// waking it for.
const rebalanceDelay = 2 * time.Millisecond
