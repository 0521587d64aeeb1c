//go:build linux

package pool

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/link"
)

// A wake-up can get lost, in either direction. A worker can empty a doorbell's pipe, fill the pipe
// so that the doorbell cannot ring, or leave its pipes to a process that reads them. The worker's
// tasks would then wait forever, even those that had no part in the loss. So the pool checks a
// worker that has tasks and has been silent for a while, and wakes it if it has not started any of
// them. A worker without tasks costs nothing.

// maxSilence is how long a worker with tasks may be silent before it is checked. It is also the
// interval between checks.
const maxSilence = time.Second

// armSilence checks the workers regularly as long as one of them has tasks. The caller must hold
// p.mu.
func (p *Pool) armSilence() {
	if !p.silenceArmed && !p.closed {
		p.silenceArmed = true
		p.silence.Reset(maxSilence)
	}
}

// checkSilent checks the workers. A timer calls it.
func (p *Pool) checkSilent() { p.checkSilentAt(time.Now()) }

func (p *Pool) checkSilentAt(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silenceArmed = false

	for _, w := range p.workers {
		if w == nil || w.dead || w.work.Tasks() == 0 && !w.stalled {
			continue
		}
		p.armSilence()
		if now.Sub(w.usage.news) < maxSilence {
			continue
		}

		if _, begun := w.work.Running(); !begun {
			w.link.Nudge()
			w.stall()
			w.suspect(now)
		}
		w.link.Kick()
	}
}

// stall takes the tasks of a worker that does not start them and gives them to other workers. The
// worker may be stopped, or stuck outside of a task. It gets no more tasks until it has passed all
// tasks that it was sent. The worker keeps its tasks if no other worker could start them sooner, or
// while a large argument is in transit. The caller must hold the pool's lock.
func (w *worker) stall() {
	p := w.pool
	if w.stalled || w.sending != nil || !p.hasOther(w) {
		return
	}
	w.stalled = true
	p.sched.TakeBack(&w.work, p.drop)
	p.distribute()
}

// suspect ends a worker that has not started any task for as long as its first task may take, even
// if no other worker could run its tasks. No task is lost: the next worker gets them. The caller
// must hold the pool's lock.
func (w *worker) suspect(now time.Time) {
	p := w.pool
	front, ok := w.work.Front()
	if !ok || w.killing || w.sending != nil || p.cfg.Patient {
		return
	}

	silent, timeout := now.Sub(w.usage.news), front.Job.Data.(*job).timeout
	if timeout == 0 || silent < timeout+max(p.cfg.Grace, minGrace) {
		return
	}

	w.stalled = true
	// If a task is left after TakeBack, the worker has started it after all.
	if p.sched.TakeBack(&w.work, p.drop); w.work.Tasks() == 0 {
		w.killing = true
		if w.cause == nil {
			w.cause = fmt.Errorf("it has begun no task for %v", silent.Round(time.Millisecond))
		}
		w.proc.Kill()
	}
	p.distribute()
}

// hasOther reports whether a worker other than w takes tasks. The caller must hold p.mu.
func (p *Pool) hasOther(w *worker) bool {
	return slices.ContainsFunc(p.workers, func(x *worker) bool {
		return x != nil && x != w && !x.dead && !x.killing && !x.leaving && !x.stalled
	})
}

// isStalled reports whether the worker has not yet passed the tasks that were taken back from it.
// The caller must have the pump's role and hold the pool's lock.
func (w *worker) isStalled() bool {
	if w.stalled {
		tasks, _ := w.link.Room()
		w.stalled = tasks < link.MaxTasks
	}
	return w.stalled
}
