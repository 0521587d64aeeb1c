//go:build race

package main

// memoryLimit is 0, which means no limit. The race detector's shadow memory counts as a worker's
// own memory, so no worker could run under a limit. Without a limit, tasks that hoard memory are
// left out.
const memoryLimit = 0
