//go:build race

package mptest

const raceEnabled = true
