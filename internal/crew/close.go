//go:build linux

package crew

import (
	"context"
	"slices"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// Close ends all workers at once; what they have not finished ends with
// ErrClosed. It returns when nothing is left. Closing twice is fine.
func (c *Crew) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.gone
		return
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
	c.mu.Unlock()
	c.settleAll(drops, c.whyNot)
	c.keepers.Wait()
	c.logs.Close()
	spawn.Release()
	share.ForgetFiles(c.cfg.Files)
	close(c.gone)
}

// Shutdown takes no more jobs, waits for those it has, lets the workers tear
// down and exit, and closes. When ctx ends first, it closes at once and returns
// the context's error.
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
	defer c.Close()
	if quiet != nil {
		select {
		case <-quiet:
		case <-c.closing:
			return nil
		case <-ctx.Done():
			return cause.Of(ctx)
		}
	}
	return c.dismiss(ctx)
}

// dismiss lets the workers tear down.
func (c *Crew) dismiss(ctx context.Context) error {
	c.mu.Lock()
	var leaving []*member
	for _, m := range c.members {
		if m != nil {
			leaving = append(leaving, m)
			if !m.leased { // whose caller wakes the pump when it is done with it
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
