//go:build linux

package crew

import "time"

// SetupPatience has what takes longer in a Setup logged, until it is called back.
func SetupPatience(d time.Duration) (back func()) {
	before := setupPatience
	setupPatience = d
	return func() { setupPatience = before }
}

// BeforeGreeting has f called before each worker is greeted, until it is called back.
func BeforeGreeting(f func()) (back func()) {
	before := greeting
	greeting = f
	return func() { greeting = before }
}

// Feel looks at workers as if they had been silent for long.
func Feel(c *Crew) { c.feelAt(time.Now().Add(time.Hour)) }

// MayBeKilled is mayBeKilled.
func (d *Death) MayBeKilled() bool { return d.mayBeKilled() }

// CrashedInRuntime is crashedInRuntime.
var CrashedInRuntime = crashedInRuntime
