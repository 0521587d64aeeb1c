//go:build linux && race

package attacks

// raceFactor is how many times as much memory a program needs under the race detector.
const raceFactor = 10

// Racing reports whether the race detector is enabled.
const Racing = true
