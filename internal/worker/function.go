// Package worker implements a worker process: it takes tasks off the link one after the other, runs
// them and commits their outcomes.
package worker

import (
	"context"
	"log/slog"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/task"
)

// A Program describes this process's program to Serve.
type Program struct {
	Functions []Function
	Build     string // the program's build id
	// Start is called before any of the user's code, with a function that sends log records to the
	// parent. Start returns a logger that uses the function.
	Start func(cfg link.Config, log func([]byte) error) *slog.Logger
	// Unpack adds the baggage of a call to the context of one of the call's tasks.
	Unpack func(ctx context.Context, baggage []byte) context.Context
}

// A Function is a function that this worker can run. Only one goroutine at a time calls Run.
type Function struct {
	ID  link.FuncID
	Run task.Handler
}
