// Package worker is what a worker process does: it takes tasks off the link
// one after the other, runs them and commits their outcomes.
package worker

import (
	"context"
	"log/slog"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// A Program is what Serve has to know of the program that this process is.
type Program struct {
	Functions []Function
	Build     string // its build id
	// Start is called before anything of the user's is run, with a function that sends log records
	// to the parent, and returns a logger to it.
	Start func(cfg link.Config, log func([]byte) error) *slog.Logger
	// Unpack puts the baggage of a call into the context of one of its tasks.
	Unpack func(ctx context.Context, baggage []byte) context.Context
}

// A Function is one that this worker can run. Run is called by one goroutine at
// a time.
type Function struct {
	ID  link.FuncID
	Run runner.Handler
}
