//go:build !linux

// Package sys wraps system calls that several packages need.
package sys

import "runtime"

// NumCPU returns how many processors this process may use.
func NumCPU() int { return runtime.NumCPU() }
