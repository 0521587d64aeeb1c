//go:build linux

package pool

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/link"
)

// A wake-up can get lost. A worker can empty its own doorbell, fill it so that it cannot ring, or
// leave its pipes to a process that reads them. Wake-ups that are sent to the worker can get lost
// in the same ways. The tasks there would wait forever, even if another task caused the loss. So
// the pool checks a worker that has tasks and has been silent for a while, and wakes it if it has
// started none of them. A worker without tasks costs nothing.

// maxSilence is how long a worker with tasks may be silent before it is checked, and the interval
// between checks.
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

// stall gives the tasks of a worker that starts none to others. The worker may be stopped, or stuck
// outside of a task. It gets no more tasks until it has passed all that it was sent. It keeps its
// tasks if no other worker could start them sooner, or while a large argument is on its way. The
// caller must hold the pool's lock.
func (w *worker) stall() {
	p := w.pool
	if w.stalled || w.sending != nil || !p.hasOther(w) {
		return
	}
	w.stalled = true
	p.sched.TakeBack(&w.work, p.drop)
	p.distribute()
}

// suspect ends a worker that has started no task for as long as its first task may take, even if no
// other worker could run its tasks. No task is lost: the next worker gets them. The caller must
// hold the pool's lock.
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

// isStalled reports whether the worker has yet to pass the tasks that were taken back from it. The
// caller must own the link and hold the pool's lock.
func (w *worker) isStalled() bool {
	if w.stalled {
		tasks, _ := w.link.Room()
		w.stalled = tasks < link.MaxTasks
	}
	return w.stalled
}
