//go:build linux

package crew

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// Close kills all workers at once. Unfinished tasks end with ErrClosed. Close returns when no
// process is left, or with an error that names the processes that were killed but have not ended.
// It may be called more than once.
func (c *Crew) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.gone
		return c.left()
	}

	c.closed = true
	close(c.closing)

	var drops []run
	c.sched.Clear(collectRuns(&drops))
	for _, m := range slices.Concat(c.members, c.spares, c.departing) {
		if m != nil {
			m.proc.Kill()
		}
	}

	c.balance.Stop()
	c.pulse.Stop()
	c.idler.Stop()
	c.watchdog.timer.Stop()
	c.sampler.timer.Stop()
	c.mu.Unlock()

	c.settleAll(drops, c.whyNot)
	c.keepers.Wait()
	c.logs.Close()

	spawn.Release()
	share.ForgetFiles(c.cfg.Files)
	close(c.gone)
	return c.left()
}

// lingers notes that a killed worker has not ended. The caller must hold c.mu.
func (c *Crew) lingers(m *member) {
	c.lingering = append(slices.DeleteFunc(c.lingering, hasEnded), m)
}

func hasEnded(m *member) bool {
	select {
	case <-m.proc.Gone():
		return true
	default:
		return false
	}
}

// left returns an error that names the processes that were killed but have not ended, or nil if
// there are none.
func (c *Crew) left() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []error
	for _, m := range slices.Concat(c.lingering, c.members, c.spares, c.departing) {
		if m != nil && !hasEnded(m) {
			all = append(all, fmt.Errorf("mp: process %d (%s) was killed and has not ended: it may wait in the kernel, or be another user's", m.proc.PID, m.called()))
		}
	}
	return errors.Join(all...)
}

// called returns the worker's name for messages.
func (m *member) called() string {
	switch n := m.number(); {
	case m.crew.cfg.Single:
		return m.name
	case n == 0:
		return "a spare"
	default:
		return fmt.Sprintf("worker %d", n)
	}
}

// Shutdown accepts no more jobs, waits for the accepted ones, lets the workers tear down and exit,
// and closes the pool. If ctx ends first, Shutdown closes the pool at once and returns ctx's error.
// If that takes more than a moment, the error also names the processes that have not ended.
func (c *Crew) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	c.draining = true
	close(c.room)
	c.room = make(chan struct{})

	var quiet chan struct{}
	if c.open > 0 && !c.closed {
		if c.quiet == nil {
			c.quiet = make(chan struct{})
		}
		quiet = c.quiet
	}
	c.mu.Unlock()

	if quiet != nil {
		select {
		case <-quiet:
		case <-c.closing:
			return c.Close()
		case <-ctx.Done():
			return c.closeSoon(cause.Of(ctx))
		}
	}

	if err := c.dismiss(ctx); err != nil {
		return c.closeSoon(err)
	}
	return c.Close()
}

// closeSoon closes the pool without waiting for long, and returns why joined with what is left.
func (c *Crew) closeSoon(why error) error {
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()

	select {
	case err := <-closed:
		if err == nil {
			return why
		}
		return errors.Join(why, err)
	case <-time.After(dying):
	}

	if left := c.left(); left != nil {
		return errors.Join(why, left)
	}
	return why
}

// dismiss lets the workers tear down, and waits until they have ended.
func (c *Crew) dismiss(ctx context.Context) error {
	c.mu.Lock()
	var leaving []*member
	for _, m := range c.members {
		if m != nil {
			leaving = append(leaving, m)
			if !m.leased { // otherwise its caller wakes the pump
				m.wakeUp()
			}
		}
	}

	leaving = append(append(leaving, c.departing...), c.dismissSpares()...)
	c.idle = nil
	c.mu.Unlock()

	for _, m := range leaving {
		select {
		case <-m.proc.Done():
		case <-ctx.Done():
			return cause.Of(ctx)
		}
	}

	return nil
}
