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
	canceled bool
	done     chan struct{}
	job      crew.Cancellable
}

func (c *cancelContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		return
	}
	c.canceled = true
	if c.done != nil {
		close(c.done)
	}
	if c.job != nil {
		go c.job.Cancelled(context.Canceled)
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

// forget drops the job, which has ended.
func (c *cancelContext) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.job = nil
}

// Done implements context.Context.
func (c *cancelContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.canceled {
			close(c.done)
		} else if c.Context.Done() != nil {
			context.AfterFunc(c.Context, c.cancel)
		}
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
