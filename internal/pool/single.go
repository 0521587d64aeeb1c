//go:build linux

package pool

import (
	"syscall"
)

// Signal sends a signal to the worker of a pool that has only one worker. SIGKILL also ends the
// worker's process group.
func (p *Pool) Signal(s syscall.Signal) {
	p.mu.Lock()
	proc := p.firstProc
	p.mu.Unlock()
	switch {
	case proc == nil:
	case s == syscall.SIGKILL:
		proc.Kill()
	default:
		proc.Signal(s)
	}
}

// PID returns the ID of the process that said hello first, or 0 if no process has.
func (p *Pool) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.firstProc == nil {
		return 0
	}
	return p.firstProc.PID
}
