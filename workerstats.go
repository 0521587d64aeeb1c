package mp

import (
	"time"

	"github.com/go-multiprocessing/mp/internal/crew"
)

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

func newWorkerStats(w crew.Info) WorkerStats {
	return WorkerStats{
		WorkerInfo: newWorkerInfo(w),
		Begun:      w.Begun, Done: w.Done, Before: w.Before,
		Starting: w.Starting, Waiting: w.Waiting, Working: w.Working, Talking: w.Talking,
		RSS: w.RSS, Peak: w.Peak,
	}
}
