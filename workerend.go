package mp

import "time"

// WorkerEnd is how a worker has ended.
type WorkerEnd struct {
	Worker int // its place
	PID    int
	When   time.Time
	Served time.Duration
	Done   int // tasks
	Why    string
}
