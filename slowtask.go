package mp

import "time"

// SlowTask is a task that took long: 10 ms or more. The worker measures these by themselves.
type SlowTask struct {
	Func   string
	Task   uint64 // its id; see [TaskInfo]
	Worker int
	Took   time.Duration
	Arg    string // the beginning of its argument, as fmt prints it
	Lost   bool   // it ended with its worker
}
