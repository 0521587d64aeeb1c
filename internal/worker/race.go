//go:build race

package worker

// The race detector maps far more than a program uses, so a limit of what is mapped says nothing.
const raceEnabled = true
