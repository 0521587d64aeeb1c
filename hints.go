package mp

import (
	"math"
	"time"
)

// Hints are what a caller knows about a batch. The zero value is fine.
type Hints struct {
	// Chunk is how many elements travel together; 0 lets the executor choose.
	Chunk int
	// Prompt says that somebody waits for each result, so that it is better
	// delivered at once than together with others.
	Prompt bool
	// Timeout is how long each task may run, see [Timeout]; 0 leaves that to
	// the executor, NoTimeout means without limit.
	Timeout time.Duration
	// Retries is how often a task may be run again whose worker died.
	Retries int
	// Baggage goes along with each task, for functions registered with
	// [RegisterBaggage]; it makes sense only to those.
	Baggage string
}

// NoTimeout is the [Hints].Timeout of tasks that may run for ever.
const NoTimeout time.Duration = math.MinInt64
