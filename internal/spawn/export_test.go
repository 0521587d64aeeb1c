//go:build linux

package spawn

import (
	"syscall"
	"time"
)

// NextPause is nextPause.
var NextPause = nextPause

// SetRetryGuard changes retryGuard until the returned function is called. No guard may be there.
func SetRetryGuard(d time.Duration) (undo func()) {
	before := retryGuard
	retryGuard = d
	return func() { retryGuard = before }
}

// Refused is what Kill does when the system refuses the signal.
func (p *Process) Refused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heed(syscall.EPERM)
}

// NewSession is newSession.
var NewSession = newSession
