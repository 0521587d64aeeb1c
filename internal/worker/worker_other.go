//go:build !linux

package worker

// Serve is never called on a system where no worker can be started.
func Serve(Program) int { return 1 }
