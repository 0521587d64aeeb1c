//go:build race

package main

// memoryLimit is 0, which means no limit: the race detector's shadow memory counts as a worker's
// own, so that no worker could run. Without a limit, tasks that hoard memory are left out.
const memoryLimit = 0
