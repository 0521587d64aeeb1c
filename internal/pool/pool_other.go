//go:build !linux

package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/objects"
)

// Pool is not implemented on this system yet.
type Pool struct{}

var errUnsupported = fmt.Errorf("mp: worker processes on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// New returns an error that wraps errors.ErrUnsupported.
func New(cfg Config) (*Pool, error) {
	objects.ForgetFiles(cfg.Files)
	return nil, errUnsupported
}

// CgroupMemory returns "".
func (*Pool) CgroupMemory() string { return "" }

// Execute returns an error that wraps errors.ErrUnsupported.
func (*Pool) Execute(context.Context, string, Batch, Hints) error { return errUnsupported }

// Shutdown does nothing.
func (*Pool) Shutdown(context.Context) error { return nil }

// Close does nothing.
func (*Pool) Close() error { return nil }

// Running returns false.
func (*Pool) Running(Batch, int) bool { return false }

// Resize returns an error that wraps errors.ErrUnsupported.
func (*Pool) Resize(int) error { return errUnsupported }

// Ready returns an error that wraps errors.ErrUnsupported.
func (*Pool) Ready(context.Context) error { return errUnsupported }

// Stats returns a zero Stats.
func (*Pool) Stats() Stats { return Stats{} }

// Size returns 0.
func (*Pool) Size() int { return 0 }

// PID returns 0.
func (*Pool) PID() int { return 0 }

// Signal does nothing.
func (*Pool) Signal(syscall.Signal) {}

// Ask returns no answers.
func (*Pool) Ask(context.Context, []byte) []Answer { return nil }

// Workers returns nil.
func (*Pool) Workers() []Info { return nil }
