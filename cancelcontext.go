package mp

import (
	"context"
	"sync"
)

// cancelContext is the context of a submission: its caller's, which the future
// can cancel too. Executors of this package watch it without a channel; one
// is made if somebody asks for it.
type cancelContext struct {
	context.Context

	mu       sync.Mutex
	canceled bool
	done     chan struct{}
	watch    func()
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
	if c.watch != nil {
		go c.watch()
	}
}

// Watch has f called, on a goroutine of its own, when the context ends.
func (c *cancelContext) Watch(f func()) (stop func() bool) {
	if c.Context.Done() != nil {
		stop = context.AfterFunc(c.Context, f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch = f; c.canceled {
		go f()
	}
	return stop
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
