package mp

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/runner"
)

// TaskInfo says which task a function is running as.
type TaskInfo struct {
	ID      uint64 // unique among the tasks of its pool, from 1
	Attempt int    // from 1
	Worker  int    // the number of its worker in the pool, from 1
}

// CurrentTask returns what ctx, the context of a task or one derived from it,
// knows of the task. ok is false outside of tasks. It costs no allocation.
func CurrentTask(ctx context.Context) (info TaskInfo, ok bool) {
	i, ok := runner.InfoFrom(ctx)
	return TaskInfo{ID: i.ID, Attempt: int(i.Attempt), Worker: int(i.Worker)}, ok
}
