//go:build linux && race

package attacks

// raceFactor is how many times the memory a program takes under the race detector.
const raceFactor = 10

// Racing says whether the race detector is at work.
const Racing = true
