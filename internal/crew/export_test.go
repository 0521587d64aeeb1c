//go:build linux

package crew

import "time"

// SetupPatience makes the pool log a Setup that takes longer than d, until back is called.
func SetupPatience(d time.Duration) (back func()) {
	before := setupPatience
	setupPatience = d
	return func() { setupPatience = before }
}

// BeforeGreeting makes the pool call f before it greets a worker, until back is called.
func BeforeGreeting(f func()) (back func()) {
	before := greeting
	greeting = f
	return func() { greeting = before }
}

// Feel checks the workers as if they had been silent for long.
func Feel(c *Crew) { c.feelAt(time.Now().Add(time.Hour)) }

// MayBeKilled exports mayBeKilled.
func (d *Death) MayBeKilled() bool { return d.mayBeKilled() }

// CrashedInRuntime exports crashedInRuntime.
var CrashedInRuntime = crashedInRuntime
