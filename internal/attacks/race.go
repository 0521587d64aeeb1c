//go:build linux && race

package attacks

// raceFactor is how many times the memory a program takes under the race detector.
const raceFactor = 10
