package mp

import "fmt"

// A StartError says why a pool has no workers: they could not be started, or
// their setup failed, several times in a row. Every task gets this error at once, until
// a worker serves again. If none has ever served, only [Pool.Resize] tries again; see [Restart].
type StartError struct {
	Worker  int    // its number in the pool, from 1
	Process string // the name of a [Process]; "" for a worker of a pool
	Stderr  string // the end of what the last attempt wrote there
	Err     error  // why
}

func (e *StartError) Error() string {
	if e.Process != "" {
		return fmt.Sprintf("mp: the process %s cannot be started: %v", e.Process, e.Err)
	}
	return fmt.Sprintf("mp: worker %d cannot be started: %v", e.Worker, e.Err)
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }
