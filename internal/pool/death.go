//go:build linux

package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/sched"
)

// drainOutput reads everything that is left in the dead worker's pipes and socket, and returns how
// the worker ended.
func (w *worker) drainOutput() Death {
	w.unwatchMemory()
	w.link.EndReading()
	w.outs.finish()
	w.errs.finish()
	<-w.readerDone

	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.proc.Status().Stuck {
		w.pool.noteUnreaped(w)
	}

	single := ""
	if w.pool.cfg.Single {
		single = w.name
	}

	words := w.errs.words()
	return Death{
		Worker: w.number(), Single: single, PID: w.proc.PID, Status: w.proc.Status(), Stderr: words, Stacks: w.stacks, Cause: w.cause,
		Starved: w.nearLimit && crashedInRuntime(words),
	}
}

// reap reaps a dead worker. It delivers the results of the tasks that the worker had finished, and
// ends or retries the tasks that the worker was running. All other tasks go to other workers. If
// the worker has corrupted the record of its progress, all its tasks end.
func (w *worker) reap() {
	p := w.pool
	death := w.drainOutput()
	_, err := w.collect()
	if bad := w.link.CheckAll(); bad != nil {
		err = bad
	}
	// The worker may have died before the corruption was noticed, or may have been killed because
	// of a false claim of its own.
	if err != nil && !errors.Is(death.Cause, ErrProtocol) {
		death.Cause = fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	w.death = death
	why := whyDied(death)
	w.mayRetry = death.Cause == nil || errors.Is(death.Cause, ErrMemory)

	p.mu.Lock()
	w.leaveService()
	w.trace("ended", "status", death.Status.String(), "why", w.countEnd(why))
	p.countWorkers()
	lost, drops := w.unfinished()
	closed := p.closed
	ran := time.Since(w.usage.news)
	p.distribute()
	p.mu.Unlock()

	w.traceLost("has lost a task", lost)
	if len(lost) > 0 {
		p.noteSlow(lost[0].job, lost[0].lo, Slow{Worker: w.number(), Took: ran, Lost: true})
	}
	w.link.Close()
	w.broker.close()
	if closed && death.Cause == nil {
		drops, lost = append(drops, lost...), nil
	}
	p.settleAll(lost, func(j *job) error {
		d := death
		d.Func = j.fn
		return &d
	})
	p.settleAll(drops, p.whyNot)
}

// leaveService empties the worker's slot, unless the worker has left it already. The caller must
// hold the pool's lock.
func (w *worker) leaveService() {
	p := w.pool
	if w.departing {
		p.departing = slices.DeleteFunc(p.departing, func(x *worker) bool { return x == w })
	} else {
		p.workers[w.number()-1] = nil
	}
}

// countEnd counts the end of a dead worker and returns the reason for the end. If the end was
// unexpected, the reason is died. The caller must hold the pool's lock.
func (w *worker) countEnd(died string) (why string) {
	p := w.pool
	status := w.death.Status
	dismissed := p.draining && p.open == 0 && (status.Lost || status.Signal == 0 && status.ExitCode == 0)

	switch {
	case w.departing: // its end was counted when it left
		return w.why
	case w.leaving:
		p.counts.Recycled++
		p.noteEnd(w, w.why)
		return w.why
	case dismissed, p.closed:
		return "the pool ends"
	}

	p.counts.Died++
	p.noteEnd(w, died)
	return died
}

// unfinished returns the tasks that the dead worker was running, and the tasks that will not be
// run. Tasks that other workers will run are returned to the scheduler. The caller must hold the
// pool's lock.
func (w *worker) unfinished() (lost, drops []run) {
	p := w.pool
	p.sched.Dead(&w.work,
		func(sj *sched.Job, i int) {
			j := sj.Data.(*job)
			w.lost++
			if p.mayRetry(j, i, w.mayRetry) {
				w.traceLost("has left a task that will be retried", []run{{j, i, 1}})
				p.sched.Return(sched.Chunk{Job: sj, Lo: i, N: 1}, p.drop)
				return
			}
			lost = append(lost, run{j, i, 1})
		},
		collectRuns(&drops))

	if p.closed {
		p.sched.Clear(collectRuns(&drops))
	}
	return lost, drops
}

func collectRuns(runs *[]run) sched.Drop {
	return func(j *sched.Job, lo, n int) { *runs = append(*runs, run{j.Data.(*job), lo, n}) }
}

// maxOutputDrain is how long to wait for the rest of a dead worker's output. The wait is limited
// because the worker's descendants may hold the pipes open.
const maxOutputDrain = 100 * time.Millisecond
