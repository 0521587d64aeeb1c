//go:build linux

package crew

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

// keep keeps a slot filled, with one worker after another.
func (c *Crew) keep(i int, first chan<- error) {
	defer c.keepers.Done()
	tell := func(err error) {
		if first != nil {
			first <- err
			first = nil
		}
	}

	for failed, kills := 0, 0; c.wanted(i); {
		m, err := c.fill(i, func() { tell(nil) })
		if err != nil {
			tell(err)
		} else if m.serve() {
			c.hasServed()
			failed, kills = -1, 0
		} else {
			err = &StartError{Worker: i + 1, Started: true, Last: m.death, Err: fmt.Errorf("it ended by itself without a task, %v%s", m.death.Status, m.death.saying())}
		}
		if c.cfg.Single {
			c.giveUp(i, c.endSingle(m, err))
			return
		}

		if failed++; killed(err) {
			if inSetup(err) {
				kills++ // Setup may have caused it
			}
			if kills <= c.cfg.Restart.Attempts {
				failed = min(failed, 1) // such an end says little about the next worker
			}
		}

		switch {
		case failed > 0:
			if !c.cannotFill(i, failed, err) {
				return
			}
			if c.awaitRetry(i, c.cfg.Restart.wait(failed)) {
				failed, kills = 0, 0
			}
		case m.tired:
			c.awaitWork(i)
		}
	}
}

// wait returns the time before the next attempt after the given number of failures.
func (r Restart) wait(failed int) time.Duration {
	d := r.Backoff
	for ; failed > 1 && d < r.MaxBackoff; failed-- {
		d *= 2
	}
	return min(d, r.MaxBackoff)
}

// fill puts a worker into a slot. It prefers a spare.
func (c *Crew) fill(i int, greeted func()) (*member, error) {
	m := c.takeSpare()
	if m == nil {
		err := c.mayReplace(i)
		if err == nil {
			m, err = c.start(i+1, greeted)
		}
		if err != nil {
			if s := (*StartError)(nil); c.cfg.Single && errors.As(err, &s) {
				s.Single = c.cfg.Name()
			}
			return nil, err
		}
	}

	if err := m.pin(i); err != nil {
		return nil, m.failed(i, err)
	}
	if !m.enlist(i) {
		return nil, m.failed(i, errs.ErrClosed)
	}

	if m.outage > 0 && c.cfg.Logger != nil {
		c.cfg.Logger.Info("mp: worker serves again", "worker", i+1, "pid", m.proc.PID, "after", m.outage)
	}

	return m, nil
}

// fewStuck is how many stuck processes, killed but not ended, even a small pool tolerates.
const fewStuck = 8

// mayReplace returns an error if too many killed processes have not ended. A further worker would
// probably get stuck, too.
func (c *Crew) mayReplace(i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lingering = slices.DeleteFunc(c.lingering, hasEnded)
	n := len(c.lingering)
	if n < max(2*len(c.members), fewStuck) {
		return nil
	}
	return &StartError{Worker: i + 1, Err: fmt.Errorf("%d processes were killed and have not ended: they may wait in the kernel", n)}
}

// failed ends a worker that cannot serve, either because of err or because it died in the meantime.
func (m *member) failed(i int, err error) *StartError {
	own := m.proc.Exiting() || endedBefore(err) && !m.outlives()
	s := &StartError{Worker: i + 1, Started: true, Permanent: !own && !errors.Is(err, errs.ErrClosed), Err: err}
	s.Last = m.discard()
	s.Killed = own && s.Last.mayBeKilled()
	return s
}

// endedBefore reports whether err says that the process no longer exists.
func endedBefore(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// cpus returns the CPUs on which the worker of slot n, counted from 1, may run. A spare, with n
// equal to 0, gets a restriction only if all slots share one. The result nil means no restriction.
func (c *Crew) cpus(n int) []int {
	switch sets := c.limits.cpus; {
	case len(sets) == 0 || n == 0 && len(sets) > 1:
		return nil
	case n == 0:
		return sets[0]
	default:
		return sets[(n-1)%len(sets)]
	}
}

// pin restricts a spare that takes slot i to the CPUs of the slot. Other workers are started with
// that restriction.
func (m *member) pin(i int) error {
	if m.number() > 0 || len(m.crew.limits.cpus) < 2 {
		return nil
	}
	cpus := m.crew.cpus(i + 1)
	if err := sys.Pin(m.proc.InProc, cpus); err != nil {
		return fmt.Errorf("it cannot be pinned to the CPUs %v: %w", cpus, err)
	}
	return nil
}

// discard kills a worker that is not in service and waits until it has ended.
func (m *member) discard() Death {
	m.proc.Kill()
	<-m.proc.Done()
	death := m.lastRites()
	m.link.Close()
	m.broker.close()
	m.trace("ended", "status", death.Status.String(), "why", "it had no place")
	return death
}

// enlist puts the worker in service and watches for its death. It reports false if the pool was
// closed in the meantime or has dismissed its workers.
func (m *member) enlist(i int) bool {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed || c.draining && c.open == 0 {
		return false
	}

	if m.num.Swap(int32(i+1)) == 0 {
		m.trace("was a spare and takes a place")
	}
	c.members[i] = m
	m.outage = c.isFilled(i)
	c.counts.Started++
	m.usage.begin()
	m.before = c.places[i].served
	c.places[i].served++

	if i >= c.want {
		m.leaving, m.why = true, tooMany
	}
	c.countWorkers()
	c.changed()
	go m.noticeDeath()
	return true
}

// noticeDeath waits for the worker's end and makes its pump reap it. Only noticeDeath marks a
// worker as dead.
func (m *member) noticeDeath() {
	c := m.crew
	<-m.proc.Done()
	m.link.EndReading()

	c.mu.Lock()
	m.dead = true
	if m.idle {
		c.removeIdle(m)
	}
	if !m.leased {
		m.wakeUp()
	}
	c.mu.Unlock()

	m.link.Kick()
}

// number returns the worker's slot, counted from 1, or 0 while it is a spare.
func (m *member) number() int { return int(m.num.Load()) }

// pause waits for d or until the pool is closed.
func (c *Crew) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.closing:
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

// endSingle reports the end of a worker that is not replaced. It returns why that worker will run
// no more tasks.
func (c *Crew) endSingle(m *member, err error) error {
	if m == nil {
		var s *StartError
		if errors.As(err, &s) && s.Started && c.cfg.OnEnd != nil {
			c.cfg.OnEnd(s.Last)
		}
		if s != nil && (s.Last.Status.Signal != 0 || s.Last.Status.Lost) {
			return &s.Last
		}
		return err
	}

	if c.cfg.OnEnd != nil {
		c.cfg.OnEnd(m.death)
	}
	death := m.death
	return &death
}

// serve runs a worker until it is dead. It reports whether the slot may be filled again at once:
// the worker did something, served for a while, made way, or was killed.
func (m *member) serve() (useful bool) {
	m.pump()
	if m.departing {
		return true
	}
	m.bury()
	return m.leaving || m.death.Cause != nil || m.finished > 0 || m.lost > 0 || time.Since(m.started) > worthy ||
		m.death.mayBeKilled() // such an end says nothing about the next worker
}

// worthy is how long a worker without a task must live so that its end does not count as a failed
// start.
const worthy = time.Second
