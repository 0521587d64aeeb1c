package mp

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// cancelContext is the context of a submission: its caller's, which the future
// can cancel too. Executors of this package watch it without a channel; one
// is made if somebody asks for it.
type cancelContext struct {
	context.Context

	mu       sync.Mutex
	canceled bool // by the future
	over     bool // the task has ended
	done     chan struct{}
	stop     func() bool // ends watching the caller's context for done
	job      crew.Cancellable
}

// cancel is the future's.
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

// Watch has job cancelled, on a goroutine of its own, when the future is. The
// caller's context is left to the executor.
func (c *cancelContext) Watch(job crew.Cancellable) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job = job; c.canceled {
		go job.Cancelled(context.Canceled)
	}
	return c.Context
}

// forget is called when the task has ended: the caller's context, which may live
// for long, is not to hold it.
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
