//go:build !linux

// Package sys asks the operating system what this process may use.
package sys

import "runtime"

// NumCPU returns how many processors this process may use.
func NumCPU() int { return runtime.NumCPU() }
