//go:build !linux

package worker

// Serve is never reached where no worker can be started.
func Serve(Program) int { return 1 }
