package mp

import (
	"context"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// A Task is a registered function with its argument bound to it, made by
// [Func.With]. It names work without doing it.
type Task interface {
	// Name is the function's name.
	Name() string

	// bind encodes the argument; files are the numbers of those in it, which the
	// caller has to forget.
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

// bindOptional is bind for a Task that may be nil.
func bindOptional(t Task) (b link.Bound, files []uint64, err error) {
	if t == nil {
		return b, nil, nil
	}
	return t.bind()
}

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
