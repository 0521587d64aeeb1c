//go:build linux

package pool

import "time"

// SetupWarnAfter makes the pool log a Setup that takes longer than d, until back is called.
func SetupWarnAfter(d time.Duration) (back func()) {
	before := setupWarnAfter
	setupWarnAfter = d
	return func() { setupWarnAfter = before }
}

// BeforeGreeting makes the pool call f before it greets a worker, until back is called.
func BeforeGreeting(f func()) (back func()) {
	before := greeting
	greeting = f
	return func() { greeting = before }
}

// CheckSilent checks the workers as if they had been silent for a long time.
func CheckSilent(p *Pool) { p.checkSilentAt(time.Now().Add(time.Hour)) }

// MayBeKilled exports mayBeKilled.
func (d *Death) MayBeKilled() bool { return d.mayBeKilled() }

// CrashedInRuntime exports crashedInRuntime.
var CrashedInRuntime = crashedInRuntime
