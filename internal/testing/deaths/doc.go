// Package deaths checks the promises of pools and processes for every way in which a task can
// die. It contains the table of deaths, which docs/deaths.md shows, and the tests that run it. The
// package c below it has the deaths that need C, in a separate program: with C, the Go runtime
// treats signals and threads differently.
package deaths
