//go:build linux

package crew

import (
	"syscall"
)

// Signal sends a signal to the worker of a pool that has only one. SIGKILL also ends the worker's
// process group.
func (c *Crew) Signal(s syscall.Signal) {
	c.mu.Lock()
	p := c.greeter
	c.mu.Unlock()
	switch {
	case p == nil:
	case s == syscall.SIGKILL:
		p.Kill()
	default:
		p.Signal(s)
	}
}

// PID returns the ID of the process that said hello first, or 0 if none has.
func (c *Crew) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.greeter == nil {
		return 0
	}
	return c.greeter.PID
}
