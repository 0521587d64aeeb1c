package mp

import (
	"fmt"
	"time"
)

// Recycle says when a worker makes way for a fresh one though nothing is wrong
// with it: for libraries that leak, caches that only grow, or memory that others
// could use. It finishes the task that it is running, and what waits behind that
// goes to other workers. Then it has ten seconds to run its Teardown and exit, while
// the next one takes its place: for a moment there can be twice as many processes
// as workers. The zero value never does that.
type Recycle struct {
	// Tasks is how many tasks a worker runs; never one more.
	Tasks int

	// Memory is how many bytes of memory a worker may have for itself when it
	// has finished a task: what is resident, but for mapped files and shared
	// memory. That is looked up whenever results are fetched, a few
	// microseconds each time. A task that the worker has got by then is still
	// run; a fresh worker has a few megabytes. Unlike [Limits].Memory it ends no task.
	Memory int64

	// Idle is how long a worker is kept that has nothing to do. Its place is
	// then empty until there is something: that task waits some milliseconds
	// for a new worker. All workers of a pool may end so.
	Idle time.Duration
}

func (r Recycle) check() error {
	switch {
	case r.Tasks < 0:
		return fmt.Errorf("Recycle.Tasks is %d: it must not be negative", r.Tasks)
	case r.Memory < 0:
		return fmt.Errorf("Recycle.Memory is %d: it must not be negative", r.Memory)
	case r.Idle < 0:
		return fmt.Errorf("Recycle.Idle is %v: it must not be negative", r.Idle)
	}
	return nil
}
