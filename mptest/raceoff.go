//go:build !race

package mptest

const raceEnabled = false
