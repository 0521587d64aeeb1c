package mp

import "github.com/go-multiprocessing/mp/internal/link"

// A Task is a registered function with its argument bound to it, made by
// [Func.With]. It names work without doing it.
type Task interface {
	// Name is the function's name.
	Name() string

	bind() (link.Bound, error)
}

type boundTask[In, Out any] struct {
	f   *Func[In, Out]
	arg In
}

func (t *boundTask[In, Out]) Name() string { return t.f.id }

func (t *boundTask[In, Out]) bind() (link.Bound, error) {
	arg, _, err := t.f.encode(nil, []In{t.arg})
	if err != nil {
		return link.Bound{}, err
	}
	return link.Bound{Name: t.f.id, Arg: arg[elementHead:]}, nil
}

// bindOptional is bind for a Task that may be nil.
func bindOptional(t Task) (link.Bound, error) {
	if t == nil {
		return link.Bound{}, nil
	}
	return t.bind()
}
