package mp

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/task"
)

// A Task is a call of a registered function that has not been made yet: the function and its
// argument. [Func.With] makes Tasks.
type Task interface {
	// Name returns the name of the function.
	Name() string

	// bind encodes the argument. files are the numbers of the files in it. The caller must pass
	// them to objects.ForgetFiles when they are no longer needed.
	bind() (b link.Bound, files []uint64, err error)
}

type boundTask[In, Out any] struct {
	f   *Func[In, Out]
	arg In
}

func (t *boundTask[In, Out]) Name() string {
	if t.f == nil {
		return ""
	}
	return t.f.id
}

func (t *boundTask[In, Out]) bind() (b link.Bound, files []uint64, err error) {
	if t.f == nil {
		return b, nil, errNoFunc
	}
	arg, n, err := t.f.encode(nil, []In{t.arg})
	if err != nil {
		return b, nil, err
	}
	for _, ids := range t.f.in.SentFiles(arg, n) {
		files = append(files, ids...)
	}
	return link.Bound{Name: t.f.id, Arg: arg[elementHead:]}, files, nil
}

// bindOptional is like bind, but for a Task that may be nil.
func bindOptional(t Task) (b link.Bound, files []uint64, err error) {
	if t == nil {
		return b, nil, nil
	}
	return t.bind()
}

// TaskInfo identifies a running task.
type TaskInfo struct {
	// ID is unique among the tasks of a pool. IDs start at 1.
	ID uint64

	// Attempt is 1, unless [Retries] runs the task again.
	Attempt int

	// Worker is the number of the task's worker in the pool. The numbers start at 1.
	Worker int
}

// CurrentTask returns the task to which ctx belongs. ctx must be the context of a task or derived
// from it; otherwise ok is false. CurrentTask does not allocate.
func CurrentTask(ctx context.Context) (info TaskInfo, ok bool) {
	i, ok := task.InfoFrom(ctx)
	return TaskInfo{ID: i.ID, Attempt: int(i.Attempt), Worker: int(i.Worker)}, ok
}
