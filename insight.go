package mp

import "time"

// What [Stats] is made of.

// WorkerStats is what a worker is doing and what it has done. Its time in service is the sum of
// Waiting, Working and Talking.
type WorkerStats struct {
	WorkerInfo
	Begun  time.Time // the task that it is running, to some milliseconds; zero if it runs none
	Done   int       // tasks
	Before int       // workers that were in its place before

	Starting time.Duration // until it could serve
	Waiting  time.Duration // without tasks
	Working  time.Duration // in tasks
	Talking  time.Duration // with tasks of which arguments or results were on their way

	RSS  int64 // bytes in memory; 0 if that cannot be told
	Peak int64 // at most so far
}

// FuncStats is what is known of a function's tasks.
type FuncStats struct {
	Func    string
	Done    int
	Average time.Duration // of late
	Chunk   int           // how many were last sent together
}

// SlowTask is a task that took long: 10 ms or more. The worker measures these by themselves.
type SlowTask struct {
	Func   string
	Task   uint64 // its id; see [TaskInfo]
	Worker int
	Took   time.Duration
	Arg    string // the beginning of its argument, as fmt prints it
	Lost   bool   // it ended with its worker
}

// WorkerEnd is how a worker has ended.
type WorkerEnd struct {
	Worker int // its place
	PID    int
	When   time.Time
	Served time.Duration
	Done   int // tasks
	Why    string
}
