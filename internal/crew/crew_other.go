//go:build !linux

package crew

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

// Crew is not implemented on this system yet.
type Crew struct{}

var errUnsupported = fmt.Errorf("mp: worker processes on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// New returns an error that wraps errors.ErrUnsupported.
func New(Config) (*Crew, error) { return nil, errUnsupported }

// CgroupMemory is empty.
func (*Crew) CgroupMemory() string { return "" }

// Execute returns an error that wraps errors.ErrUnsupported.
func (*Crew) Execute(context.Context, string, Batch, Hints) error { return errUnsupported }

// Shutdown does nothing.
func (*Crew) Shutdown(context.Context) error { return nil }

// Close does nothing.
func (*Crew) Close() error { return nil }

// Running returns false.
func (*Crew) Running(Batch, int) bool { return false }

// Resize returns an error that wraps errors.ErrUnsupported.
func (*Crew) Resize(int) error { return errUnsupported }

// Ready returns an error that wraps errors.ErrUnsupported.
func (*Crew) Ready(context.Context) error { return errUnsupported }

// Stats returns a zero Stats.
func (*Crew) Stats() Stats { return Stats{} }

// Size returns 0.
func (*Crew) Size() int { return 0 }

// PID returns 0.
func (*Crew) PID() int { return 0 }

// Signal does nothing.
func (*Crew) Signal(syscall.Signal) {}

// Ask returns no answers.
func (*Crew) Ask(context.Context, []byte) []Answer { return nil }

// Workers returns nil.
func (*Crew) Workers() []Info { return nil }
