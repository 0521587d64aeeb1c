// Package worker is what a worker process does: it takes tasks off the link
// one after the other, runs them and commits their outcomes.
package worker

import (
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// A Function is one that this worker can run. Run is called by one goroutine at
// a time.
type Function struct {
	ID  link.FuncID
	Run runner.Handler
}
