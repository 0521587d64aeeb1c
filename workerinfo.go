package mp

import (
	"time"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// WorkerInfo describes a worker of a pool.
type WorkerInfo struct {
	Worker  int         // its place in the pool, from 1; a replacement has the same
	PID     int         // of its process
	State   WorkerState // what it is doing
	Started time.Time

	// Task and Func are the id of the task that it is running and the name of
	// the function; zero if it runs none. Ids begin with 1.
	Task uint64
	Func string
}

// WorkerState is what a worker is doing.
type WorkerState string

// Worker states.
const (
	WorkerIdle WorkerState = "idle" // it has nothing to do
	WorkerBusy WorkerState = "busy" // it has tasks
)

func newWorkerInfo(w crew.Info) WorkerInfo {
	info := WorkerInfo{Worker: w.Worker, PID: w.PID, State: WorkerIdle, Started: w.Started}
	if w.Busy {
		info.State = WorkerBusy
	}
	if w.Running {
		info.Task, info.Func = w.Task, w.Func
	}
	return info
}
