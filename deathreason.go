package mp

import (
	"context"
	"errors"
	"strings"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// workerError tells from a worker's status and last words why it died.
func workerError(d *crew.Death) *WorkerError {
	return &WorkerError{
		Worker: d.Worker, Process: d.Single, PID: d.PID, Reason: reasonOf(d),
		ExitCode: d.Status.ExitCode, Signal: d.Status.Signal,
		Stderr: d.Stderr, Stacks: d.Stacks, Cause: d.Cause,
	}
}

func reasonOf(d *crew.Death) Reason {
	switch {
	case errors.Is(d.Cause, context.DeadlineExceeded):
		return ReasonDeadline
	case errors.Is(d.Cause, crew.ErrCorrupt):
		return ReasonCorrupt
	case d.Cause != nil:
		return ReasonCancelled
	case d.Status.OOM:
		return ReasonOutOfMemory
	case d.Status.Signal != 0:
		return ReasonSignal
	case d.Status.ExitCode != 2:
		return ReasonExit
	}
	// The Go runtime ends with status 2 and says why on stderr, and so do
	// os.Exit(2) and log.Fatal's kin, which do not.
	for line := range strings.Lines(d.Stderr) {
		fatal := strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "runtime:")
		if fatal && (strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory")) {
			return ReasonOutOfMemory
		}
	}
	for line := range strings.Lines(d.Stderr) {
		if crew.BeginsCrash(line) {
			return ReasonFatal
		}
	}
	return ReasonExit
}
