package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// An Op is one operation in a batch; see [Manager.Do].
type Op struct {
	r    *request // not freed, since the caller may use the Op again
	read func(in *store.Reader) error
	err  error
}

// op makes an Op.
func op(r *request, err error, read func(in *store.Reader) error) Op {
	return Op{r: r, read: read, err: err}
}

// Do performs operations on objects of the manager in one message. It performs them in order, and
// no operation of another client comes between them. If an operation fails, Do still performs the
// others, and the error wraps an [*mp.ElementError] for each operation that failed. If the message
// has no room for an operation's answer, or if the batch would keep the manager busy for more than
// about 20 ms, the operation is not performed and fails with [ErrLimit].
func (m *Manager) Do(ctx context.Context, ops ...Op) error {
	s, err := m.use()
	if err != nil {
		return err
	}

	for i, o := range ops {
		switch {
		case o.err != nil:
		case o.r == nil:
			o.err = errors.New("an Op that no object has made")
		case o.r.s != s:
			o.err = errors.New("its object is of another manager")
		}
		if o.err != nil {
			return fmt.Errorf("manager: Do: %w", &mp.ElementError{Index: i, Err: o.err})
		}
	}

	r := s.begin(store.OpBatch, 0)
	r.Uint(uint64(len(ops)))
	for _, o := range ops {
		o.r.End()
		r.Bytes(store.Body(o.r.B))
	}
	var failed []error
	err = r.do(ctx, func(in *store.Reader) error {
		for i, o := range ops {
			if err := o.take(in.Bytes()); err != nil {
				failed = append(failed, &mp.ElementError{Index: i, Err: err})
			}
		}
		return nil
	})

	return errors.Join(append(failed, err)...)
}

// errNoRoom is the error of an operation that was not performed.
var errNoRoom = fmt.Errorf("%w: it was not done, since the answers before it filled the message: do fewer at a time", ErrLimit)

// take reads the answer of an operation.
func (o Op) take(answer []byte) error {
	if len(answer) == 0 {
		return errNoRoom
	}
	in, err := store.Answer(answer)
	if err != nil {
		return err
	}
	if o.read != nil {
		if err := o.read(in); err != nil {
			return err
		}
	}
	return in.Err()
}

// SetOp is like [Dict.Set], but for [Manager.Do].
func (d *Dict[K, V]) SetOp(key K, value V) Op {
	r, err := d.beginWith(store.OpDictSet, &key, &value)
	return op(r, err, nil)
}

// GetOp is like [Dict.Get], but for [Manager.Do]. Do sets *value, and *ok unless ok is nil.
func (d *Dict[K, V]) GetOp(key K, value *V, ok *bool) Op {
	r, err := d.begin(store.OpDictGet, &key)
	return op(r, err, func(in *store.Reader) error {
		var there bool
		err := readIf(in, d.value, value, &there)
		if ok != nil {
			*ok = there
		}
		return err
	})
}

// DeleteOp is like [Dict.Delete], but for [Manager.Do].
func (d *Dict[K, V]) DeleteOp(key K) Op {
	r, err := d.begin(store.OpDictDelete, &key)
	return op(r, err, func(in *store.Reader) error { in.Int(); return nil })
}

// AppendOp is like [List.Append], but for [Manager.Do].
func (l *List[T]) AppendOp(elements ...T) Op {
	r, err := l.begin(store.OpListAppend, nil, elements...)
	return op(r, err, func(in *store.Reader) error { in.Int(); return nil })
}

// GetOp is like [List.Get], but for [Manager.Do]. Do sets *v.
func (l *List[T]) GetOp(i int, v *T) Op {
	r, err := l.begin(store.OpListGet, []int{i})
	return op(r, err, func(in *store.Reader) error { return read(in, l.element, v) })
}

// SetOp is like [List.Set], but for [Manager.Do].
func (l *List[T]) SetOp(i int, v T) Op {
	r, err := l.begin(store.OpListSet, []int{i}, v)
	return op(r, err, nil)
}

// PopOp is like [List.Pop], but for [Manager.Do]. Do sets *v, and *ok unless ok is nil.
func (l *List[T]) PopOp(i int, v *T, ok *bool) Op {
	r, err := l.begin(store.OpListPop, []int{i})
	return op(r, err, func(in *store.Reader) error {
		var there bool
		err := readIf(in, l.element, v, &there)
		if ok != nil {
			*ok = there
		}
		return err
	})
}

// AddOp is like [Set.Add], but for [Manager.Do]. Do sets *fresh unless fresh is nil.
func (s *Set[T]) AddOp(fresh *int, elements ...T) Op { return s.op(store.OpSetAdd, fresh, elements) }

// RemoveOp is like [Set.Remove], but for [Manager.Do]. Do sets *were unless were is nil.
func (s *Set[T]) RemoveOp(were *int, elements ...T) Op {
	return s.op(store.OpSetRemove, were, elements)
}

func (s *Set[T]) op(what store.Op, n *int, elements []T) Op {
	r, err := s.p.begin(what)
	if err == nil {
		err = s.write(r, elements)
	}
	return op(r, err, func(in *store.Reader) error {
		count := in.Int()
		if n != nil {
			*n = count
		}
		return nil
	})
}

// LoadOp is like [Value.Load], but for [Manager.Do]. Do sets *value.
func (v *Value[T]) LoadOp(value *T) Op {
	r, err := v.begin(store.OpValueLoad)
	return op(r, err, func(in *store.Reader) error { return read(in, v.value, value) })
}

// StoreOp is like [Value.Store], but for [Manager.Do].
func (v *Value[T]) StoreOp(value T) Op {
	r, err := v.begin(store.OpValueStore, value)
	return op(r, err, nil)
}

// PutOp is like [Queue.TryPut], but for [Manager.Do].
func (q *Queue[T]) PutOp(v T) Op {
	r, err := q.beginPut(store.OpQueueTryPut, &v)
	return op(r, err, func(in *store.Reader) error {
		if !in.Bool() {
			return ipc.ErrFull
		}
		return nil
	})
}
