//go:build linux

package pool

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// supervise keeps a slot filled, with one worker after another.
func (p *Pool) supervise(i int, first chan<- error) {
	defer p.supervisors.Done()
	tell := func(err error) {
		if first != nil {
			first <- err
			first = nil
		}
	}

	for failed, kills := 0, 0; p.wanted(i); {
		w, err := p.fill(i, func() { tell(nil) })
		if err != nil {
			tell(err)
		} else if w.serve() {
			p.hasServed()
			failed, kills = -1, 0
		} else {
			err = &StartError{Worker: i + 1, Started: true, Last: w.death, Err: fmt.Errorf("it ended by itself without a task, %v%s", w.death.Status, w.death.saying())}
		}
		if p.cfg.Single {
			p.giveUp(i, p.endSingle(w, err))
			return
		}

		if failed++; killed(err) {
			if inSetup(err) {
				kills++ // Setup may have caused the kill
			}
			if kills <= p.cfg.Restart.Attempts {
				failed = min(failed, 1) // such an end says little about the next worker
			}
		}

		switch {
		case failed > 0:
			if !p.cannotFill(i, failed, err) {
				return
			}
			if p.awaitRetry(i, p.cfg.Restart.wait(failed)) {
				failed, kills = 0, 0
			}
		case w.idleTooLong:
			p.awaitWork(i)
		}
	}
}

// wait returns how long to wait before the next attempt after the given number of failures.
func (r Restart) wait(failed int) time.Duration {
	d := r.Backoff
	for ; failed > 1 && d < r.MaxBackoff; failed-- {
		d *= 2
	}
	return min(d, r.MaxBackoff)
}

// fill puts a worker into a slot. It prefers a spare.
func (p *Pool) fill(i int, greeted func()) (*worker, error) {
	w := p.takeSpare()
	if w == nil {
		err := p.mayReplace(i)
		if err == nil {
			w, err = p.start(i+1, greeted)
		}
		if err != nil {
			if s := (*StartError)(nil); p.cfg.Single && errors.As(err, &s) {
				s.Single = p.cfg.Name()
			}
			return nil, err
		}
	}

	if err := w.pin(i); err != nil {
		return nil, w.failed(i, err)
	}
	if !w.enlist(i) {
		return nil, w.failed(i, errs.ErrClosed)
	}

	if w.outage > 0 && p.cfg.Logger != nil {
		p.cfg.Logger.Info("mp: worker serves again", "worker", i+1, "pid", w.proc.PID, "after", w.outage)
	}

	return w, nil
}

// fewStuck is how many stuck processes (killed, but not ended) even a small pool tolerates.
const fewStuck = 8

// mayReplace returns an error if too many killed processes have not ended. Another worker would
// probably get stuck, too.
func (p *Pool) mayReplace(i int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreaped = slices.DeleteFunc(p.unreaped, hasEnded)
	n := len(p.unreaped)
	if n < max(2*len(p.workers), fewStuck) {
		return nil
	}
	return &StartError{Worker: i + 1, Err: fmt.Errorf("%d processes were killed and have not ended: they may wait in the kernel", n)}
}

// failed ends a worker that cannot serve, either because of err or because the worker has died in
// the meantime. It returns the error to report.
func (w *worker) failed(i int, err error) *StartError {
	own := w.proc.Exiting() || endedBefore(err) && !w.outlives()
	s := &StartError{Worker: i + 1, Started: true, Permanent: !own && !errors.Is(err, errs.ErrClosed), Err: err}
	s.Last = w.discard()
	s.Killed = own && s.Last.mayBeKilled()
	return s
}

// endedBefore reports whether err says that the process no longer exists.
func endedBefore(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// cpus returns the CPUs on which the worker of slot n, counted from 1, may run. A result of nil
// means no restriction. A spare, for which n is 0, is restricted only if all slots have the same
// restriction.
func (p *Pool) cpus(n int) []int {
	switch sets := p.limits.cpus; {
	case len(sets) == 0 || n == 0 && len(sets) > 1:
		return nil
	case n == 0:
		return sets[0]
	default:
		return sets[(n-1)%len(sets)]
	}
}

// pin restricts a spare that takes slot i to the slot's CPUs. Other workers are already started
// with their slot's restriction.
func (w *worker) pin(i int) error {
	if w.number() > 0 || len(w.pool.limits.cpus) < 2 {
		return nil
	}
	cpus := w.pool.cpus(i + 1)
	if err := sys.Pin(w.proc.InProc, cpus); err != nil {
		return fmt.Errorf("it cannot be pinned to the CPUs %v: %w", cpus, err)
	}
	return nil
}

// discard kills a worker that is not in service and waits until it has ended.
func (w *worker) discard() Death {
	w.proc.Kill()
	<-w.proc.Done()
	death := w.drainOutput()
	w.link.Close()
	w.broker.close()
	w.trace("ended", "status", death.Status.String(), "why", "it had no place")
	return death
}

// enlist puts the worker in service and watches for its death. It reports false if the pool has
// been closed or has dismissed its workers in the meantime.
func (w *worker) enlist(i int) bool {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.closed || p.draining && p.open == 0 {
		return false
	}

	if w.num.Swap(int32(i+1)) == 0 {
		w.trace("was a spare and takes a place")
	}
	p.workers[i] = w
	w.outage = p.isFilled(i)
	p.counts.Started++
	w.usage.begin()
	w.before = p.slots[i].served
	p.slots[i].served++

	if i >= p.want {
		w.leaving, w.why = true, tooMany
	}
	p.countWorkers()
	p.changed()
	go w.noticeDeath()
	return true
}

// noticeDeath waits for the worker's end and makes its pump reap it. Only noticeDeath marks a
// worker as dead.
func (w *worker) noticeDeath() {
	p := w.pool
	<-w.proc.Done()
	w.link.EndReading()

	p.mu.Lock()
	w.dead = true
	if w.idle {
		p.removeIdle(w)
	}
	if !w.leased {
		w.wakeUp()
	}
	p.mu.Unlock()

	w.link.Kick()
}

// number returns the worker's slot, counted from 1, or 0 while it is a spare.
func (w *worker) number() int { return int(w.num.Load()) }

// pause waits for d or until the pool is closed.
func (p *Pool) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.closing:
	}
}

func isPermanent(err error) bool {
	var s *StartError
	return errors.As(err, &s) && s.Permanent
}

// killed reports whether a worker that failed was killed by another process.
func killed(err error) bool {
	var s *StartError
	return errors.As(err, &s) && s.Killed
}

func inSetup(err error) bool {
	var s *StartError
	return errors.As(err, &s) && s.InSetup
}

// endSingle reports the end of a worker that is not replaced. It returns why the worker will not
// run any more tasks.
func (p *Pool) endSingle(w *worker, err error) error {
	if w == nil {
		var s *StartError
		if errors.As(err, &s) && s.Started && p.cfg.OnEnd != nil {
			p.cfg.OnEnd(s.Last)
		}
		if s != nil && (s.Last.Status.Signal != 0 || s.Last.Status.Lost) {
			return &s.Last
		}
		return err
	}

	if p.cfg.OnEnd != nil {
		p.cfg.OnEnd(w.death)
	}
	death := w.death
	return &death
}

// serve runs a worker until the worker is dead or has left its slot. It reports whether the slot
// may be filled again at once, because the worker had a task, served for a while, made way, or was
// killed.
func (w *worker) serve() (useful bool) {
	w.pump()
	if w.departing {
		return true
	}
	w.reap()
	return w.leaving || w.death.Cause != nil || w.finished > 0 || w.lost > 0 || time.Since(w.started) > minUsefulLife ||
		w.death.mayBeKilled() // such an end says nothing about the next worker
}

// minUsefulLife is how long a worker without a task must live so that its end does not count as a
// failed start.
const minUsefulLife = time.Second
