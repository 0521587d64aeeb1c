//go:build linux

package spawn

import (
	"syscall"
	"time"
)

// NextPause exports nextPause.
var NextPause = nextPause

// SetRetryGuard changes retryGuard until undo is called. It must be called while there is no guard.
func SetRetryGuard(d time.Duration) (undo func()) {
	before := retryGuard
	retryGuard = d
	return func() { retryGuard = before }
}

// Refused acts like Kill when the system refuses the signal.
func (p *Process) Refused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.escalate(syscall.EPERM)
}

// NewSession exports newSession.
var NewSession = newSession
