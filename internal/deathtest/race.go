//go:build race

package deathtest

const raceEnabled = true
