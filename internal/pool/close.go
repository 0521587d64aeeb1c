//go:build linux

package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// Close kills all workers at once. Unfinished tasks end with ErrClosed. Close returns when no
// process is left. If processes were killed but have not ended, it returns an error that names
// them. It may be called more than once.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.gone
		return p.left()
	}

	p.closed = true
	close(p.closing)

	var drops []run
	p.sched.Clear(collectRuns(&drops))
	for _, w := range slices.Concat(p.workers, p.spares, p.departing) {
		if w != nil {
			w.proc.Kill()
		}
	}

	p.balance.Stop()
	p.silence.Stop()
	p.idler.Stop()
	p.watchdog.timer.Stop()
	p.sampler.timer.Stop()
	p.mu.Unlock()

	p.settleAll(drops, p.whyNot)
	p.supervisors.Wait()
	p.logs.Close()

	spawn.Release()
	objects.ForgetFiles(p.cfg.Files)
	close(p.gone)
	return p.left()
}

// noteUnreaped notes that a killed worker has not ended. The caller must hold p.mu.
func (p *Pool) noteUnreaped(w *worker) {
	p.unreaped = append(slices.DeleteFunc(p.unreaped, hasEnded), w)
}

func hasEnded(w *worker) bool {
	select {
	case <-w.proc.Gone():
		return true
	default:
		return false
	}
}

// left returns an error that names the processes that were killed but have not ended, or nil if
// there are none.
func (p *Pool) left() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []error
	for _, w := range slices.Concat(p.unreaped, p.workers, p.spares, p.departing) {
		if w != nil && !hasEnded(w) {
			all = append(all, fmt.Errorf("mp: process %d (%s) was killed and has not ended: it may wait in the kernel, or be another user's", w.proc.PID, w.called()))
		}
	}
	return errors.Join(all...)
}

// called returns the worker's name for messages.
func (w *worker) called() string {
	switch n := w.number(); {
	case w.pool.cfg.Single:
		return w.name
	case n == 0:
		return "a spare"
	default:
		return fmt.Sprintf("worker %d", n)
	}
}

// Shutdown stops accepting jobs, waits for the accepted ones, lets the workers tear down and exit,
// and closes the pool. If ctx ends first, Shutdown closes the pool at once and returns ctx's error.
// If closing takes more than a moment, the error also names the processes that have not ended.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	p.draining = true
	close(p.room)
	p.room = make(chan struct{})

	var quiet chan struct{}
	if p.open > 0 && !p.closed {
		if p.quiet == nil {
			p.quiet = make(chan struct{})
		}
		quiet = p.quiet
	}
	p.mu.Unlock()

	if quiet != nil {
		select {
		case <-quiet:
		case <-p.closing:
			return p.Close()
		case <-ctx.Done():
			return p.closeSoon(cause.Of(ctx))
		}
	}

	if err := p.dismiss(ctx); err != nil {
		return p.closeSoon(err)
	}
	return p.Close()
}

// closeSoon closes the pool, but waits only briefly until the pool is closed. It returns why,
// joined with an error that names the processes that are left, if there are any.
func (p *Pool) closeSoon(why error) error {
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()

	select {
	case err := <-closed:
		if err == nil {
			return why
		}
		return errors.Join(why, err)
	case <-time.After(maxExitTime):
	}

	if left := p.left(); left != nil {
		return errors.Join(why, left)
	}
	return why
}

// dismiss lets the workers tear down, and waits until they have ended.
func (p *Pool) dismiss(ctx context.Context) error {
	p.mu.Lock()
	var leaving []*worker
	for _, w := range p.workers {
		if w != nil {
			leaving = append(leaving, w)
			if !w.leased { // otherwise the caller that has leased it wakes the pump
				w.wakeUp()
			}
		}
	}

	leaving = append(append(leaving, p.departing...), p.dismissSpares()...)
	p.idle = nil
	p.mu.Unlock()

	for _, w := range leaving {
		select {
		case <-w.proc.Done():
		case <-ctx.Done():
			return cause.Of(ctx)
		}
	}

	return nil
}
