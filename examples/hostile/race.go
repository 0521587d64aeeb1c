//go:build race

package main

// memoryLimit is none: the race detector's shadow of the memory counts as a
// worker's own, so that none could work. Without it no task may hoard.
const memoryLimit = 0
