// Package deathtest holds pools and processes to what they promise for every way
// in which a task can die: the table of deaths, which docs/deaths.md shows, and
// the tests that run it. Package c beside it has the ways that need C, in a
// program of their own: with C in it, the Go runtime treats signals and threads
// differently.
package deathtest
