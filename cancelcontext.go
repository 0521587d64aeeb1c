package mp

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/pool"
)

// A cancelContext is the context of a submission. It ends when the caller's context ends or the
// future is cancelled. Executors of this package call Watch, which needs no channel; Done creates a
// channel for other executors.
type cancelContext struct {
	context.Context

	mu       sync.Mutex
	canceled bool // the future was cancelled
	over     bool // the task has ended
	done     chan struct{}
	stop     func() bool // stops watching the caller's context; nil if it is not watched
	job      pool.Cancellable
}

// cancel ends the context because the future was cancelled.
func (c *cancelContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		return
	}

	c.canceled = true
	c.closeDone()
	if c.job != nil {
		go c.job.Cancelled(context.Canceled)
	}
}

func (c *cancelContext) closeDone() {
	if c.done == nil {
		return
	}
	select {
	case <-c.done:
	default:
		close(c.done)
	}
}

// Watch implements pool.Watcher. When the future is cancelled, Watch cancels job on a separate
// goroutine. It returns the caller's context, which the executor must watch itself.
func (c *cancelContext) Watch(job pool.Cancellable) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job = job; c.canceled {
		go job.Cancelled(context.Canceled)
	}
	return c.Context
}

// forget releases the job and stops watching the caller's context, which may live long after the
// task has ended and would otherwise keep c alive.
func (c *cancelContext) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.job = true, nil
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// Done implements context.Context.
func (c *cancelContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return c.done
	}

	c.done = make(chan struct{})
	switch {
	case c.canceled:
		close(c.done)
	case !c.over && c.Context.Done() != nil:
		c.stop = context.AfterFunc(c.Context, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.closeDone()
		})
	}

	return c.done
}

// Err implements context.Context.
func (c *cancelContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		return context.Canceled
	}
	return nil
}
