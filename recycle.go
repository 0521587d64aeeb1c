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

// Restart says how often, and after what time, it is tried again to start a
// worker that could not be started or whose Setup failed. Workers that die of
// their tasks, or are killed, are replaced at once and always.
type Restart struct {
	// Attempts is how often in a row a worker may fail to start before its
	// place is given up; 0 means 5. [Pool.Resize] tries such places again.
	Attempts int

	// Backoff is the time before the second attempt, twice that before the
	// third and so on until MaxBackoff; 0 means 50 ms and 10 s.
	Backoff, MaxBackoff time.Duration
}

func (r Restart) check() error {
	switch {
	case r.Attempts < 0:
		return fmt.Errorf("Restart.Attempts is %d: it must not be negative", r.Attempts)
	case r.Backoff < 0:
		return fmt.Errorf("Restart.Backoff is %v: it must not be negative", r.Backoff)
	case r.MaxBackoff < 0:
		return fmt.Errorf("Restart.MaxBackoff is %v: it must not be negative", r.MaxBackoff)
	}
	return nil
}
