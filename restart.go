package mp

import (
	"fmt"
	"time"
)

// Restart says after what time it is tried again to start a worker that could not
// be started or whose Setup failed, and how long tasks wait for it. Workers that die of
// their tasks, or are killed, are replaced at once.
//
// A pool of which a worker has served never gives up: it keeps trying. One of which none has
// served ends after Attempts; only [Pool.Resize] starts it again. [Stats].Failing says what is
// wrong, and since when.
type Restart struct {
	// Attempts is how often in a row a worker may fail to start before tasks no longer wait
	// for it; 0 means 5. When they wait for no worker, they fail at once with the [*StartError]
	// of the last attempt, until a worker serves again. A worker that SIGKILL or SIGTERM ends
	// while it starts says little about the next one: that counts only in Setup, and only
	// after Attempts of them in a row.
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
