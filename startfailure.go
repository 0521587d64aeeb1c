package mp

import (
	"time"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// StartFailure says that a place has no worker at present, because starting one keeps failing. It is tried
// again, see [Restart].
type StartFailure struct {
	Worker   int       // its place; 0 for spares
	Attempts int       // that have failed, one after the other
	Since    time.Time // of the first of these
	Why      string    // the last one failed
}

func newStartFailure(f crew.Failing) StartFailure {
	return StartFailure{Worker: f.Worker, Attempts: f.Attempts, Since: f.Since, Why: f.Why.Error()}
}
