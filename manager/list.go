package manager

import (
	"context"
	"fmt"
	"iter"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A List is a proxy for a slice in a manager. The notes on values in the documentation of [Dict]
// apply here as well. A negative index counts from the end: -1 is the last element. A call with an
// index outside the List returns [ErrRange]. A List cannot contain itself, directly or indirectly.
// A call that would make a List contain itself returns [ErrLimit].
type List[T any] struct {
	p       *proxy
	element *codec.Type[T]
}

// NewList makes a List with the given elements in a manager. If a part of T cannot be encoded, the
// error names that part.
func NewList[T any](ctx context.Context, m *Manager, elements []T, opts ...Option) (*List[T], error) {
	l, err := listOf[T]()
	if err != nil {
		return nil, fmt.Errorf("manager: NewList: %w", err)
	}
	l.p, err = m.make(ctx, store.KindList, l.shape(), opts, func(r *request) error { return l.write(r, elements) })
	if err != nil {
		return nil, err
	}
	return l, nil
}

func listOf[T any]() (*List[T], error) {
	c, err := codec.ForMessage[T]()
	return &List[T]{element: c}, err
}

func (l *List[T]) shape() uint64 { return store.Shape(store.KindList, l.element.Fingerprint()) }

func (l *List[T]) write(r *request, elements []T) error { return writeAll(r, l.element, elements) }

// begin begins a request with indices, followed by elements.
func (l *List[T]) begin(op store.Op, indices []int, elements ...T) (*request, error) {
	r, err := l.p.begin(op)
	if err != nil {
		return nil, err
	}
	for _, i := range indices {
		r.Int(i)
	}
	if err := l.write(r, elements); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// do sends a request that has no results.
func (l *List[T]) do(ctx context.Context, op store.Op, indices []int, elements ...T) error {
	r, err := l.begin(op, indices, elements...)
	if err != nil {
		return err
	}
	return r.do(ctx, nil)
}

// Append appends elements, which stay next to each other, and returns the new length.
func (l *List[T]) Append(ctx context.Context, elements ...T) (n int, err error) {
	r, err := l.begin(store.OpListAppend, nil, elements...)
	if err != nil {
		return 0, err
	}
	err = r.do(ctx, func(in *store.Reader) error { n = in.Int(); return nil })
	return n, err
}

// Get returns the i-th element.
func (l *List[T]) Get(ctx context.Context, i int) (v T, err error) {
	r, err := l.begin(store.OpListGet, []int{i})
	if err != nil {
		return v, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return read(in, l.element, &v) })
	return v, err
}

// Set sets the i-th element.
func (l *List[T]) Set(ctx context.Context, i int, v T) error {
	return l.do(ctx, store.OpListSet, []int{i}, v)
}

// Swap sets the i-th element and returns the old one.
func (l *List[T]) Swap(ctx context.Context, i int, v T) (old T, err error) {
	r, err := l.begin(store.OpListSwap, []int{i}, v)
	if err != nil {
		return old, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return read(in, l.element, &old) })
	return old, err
}

// CompareAndSwap sets the i-th element if its encoding equals old's, and reports whether it did.
func (l *List[T]) CompareAndSwap(ctx context.Context, i int, old, v T) (swapped bool, err error) {
	r, err := l.begin(store.OpListCAS, []int{i}, old, v)
	if err != nil {
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { swapped = in.Bool(); return nil })
	return swapped, err
}

// Insert inserts elements before the i-th, or at the end if i is the length.
func (l *List[T]) Insert(ctx context.Context, i int, elements ...T) error {
	return l.do(ctx, store.OpListInsert, []int{i}, elements...)
}

// Delete deletes the elements from, from+1, …, to-1.
func (l *List[T]) Delete(ctx context.Context, from, to int) error {
	return l.do(ctx, store.OpListDelete, []int{from, to})
}

// Pop deletes an element and returns it; ok is false if the List is empty. Pop(ctx, -1) takes the
// last element, Pop(ctx, 0) the first.
func (l *List[T]) Pop(ctx context.Context, i int) (v T, ok bool, err error) {
	r, err := l.begin(store.OpListPop, []int{i})
	if err != nil {
		return v, false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { return readIf(in, l.element, &v, &ok) })
	return v, ok, err
}

// Len returns the number of elements.
func (l *List[T]) Len(ctx context.Context) (int, error) { return l.p.askInt(ctx, store.OpListLen) }

// Slice returns a copy of the elements from, from+1, …, to-1, as they are at one moment.
func (l *List[T]) Slice(ctx context.Context, from, to int) ([]T, error) {
	r, err := l.begin(store.OpListSlice, []int{from, to})
	if err != nil {
		return nil, err
	}
	return l.readAll(ctx, r)
}

func (l *List[T]) readAll(ctx context.Context, r *request) (all []T, err error) {
	err = r.do(ctx, func(in *store.Reader) error {
		for in.More() {
			var v T
			if err := read(in, l.element, &v); err != nil {
				return err
			}
			all = append(all, v)
		}
		return nil
	})
	return all, err
}

// Copy returns a copy of all elements, as they are at one moment.
func (l *List[T]) Copy(ctx context.Context) (all []T, err error) {
	all, _, err = l.all(ctx)
	return all, err
}

// all returns all elements, and a version number that changes whenever they do.
func (l *List[T]) all(ctx context.Context) (all []T, version uint64, err error) {
	err = l.p.ask(ctx, store.OpListAll, func(in *store.Reader) error {
		version = in.Uint()
		for in.More() {
			var v T
			if err := read(in, l.element, &v); err != nil {
				return err
			}
			all = append(all, v)
		}
		return nil
	})
	return all, version, err
}

// All yields the elements in order, each with a nil error. It fetches a page of elements at a time,
// so it also yields elements that are appended meanwhile. If elements are inserted or deleted
// before the current position, All yields some elements twice or not at all; use [List.Copy] for a
// consistent copy. An error comes last.
func (l *List[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for at := 0; ; {
			r, err := l.begin(store.OpListScan, []int{at, pageSize})
			var page []T
			if err == nil {
				page, err = l.readAll(ctx, r)
			}

			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if len(page) == 0 {
				return
			}

			at += len(page)
		}
	}
}

// Index returns the index of the first element whose encoding equals v's, or -1 if there is none.
func (l *List[T]) Index(ctx context.Context, v T) (i int, err error) {
	r, err := l.begin(store.OpListIndex, nil, v)
	if err != nil {
		return 0, err
	}
	r.Int(0)
	err = r.do(ctx, func(in *store.Reader) error { i = in.Int(); return nil })
	return i, err
}

// Count returns the number of elements whose encoding equals v's.
func (l *List[T]) Count(ctx context.Context, v T) (n int, err error) {
	r, err := l.begin(store.OpListCount, nil, v)
	if err != nil {
		return 0, err
	}
	err = r.do(ctx, func(in *store.Reader) error { n = in.Int(); return nil })
	return n, err
}

// Remove deletes the first element whose encoding equals v's, and reports whether there was one.
func (l *List[T]) Remove(ctx context.Context, v T) (was bool, err error) {
	r, err := l.begin(store.OpListRemove, nil, v)
	if err != nil {
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { was = in.Bool(); return nil })
	return was, err
}

// Reverse reverses the order of the elements.
func (l *List[T]) Reverse(ctx context.Context) error { return l.p.ask(ctx, store.OpListReverse, nil) }

// Clear deletes all elements.
func (l *List[T]) Clear(ctx context.Context) error { return l.p.ask(ctx, store.OpListClear, nil) }

// Rewrite replaces all elements with the result of f, for instance with the sorted elements. f runs
// in this process, and runs again if the List has changed meanwhile. If the List keeps changing,
// Rewrite keeps trying until ctx ends. The whole List is transferred in both directions.
func (l *List[T]) Rewrite(ctx context.Context, f func(all []T) ([]T, error)) error {
	for {
		all, version, err := l.all(ctx)
		if err == nil {
			all, err = f(all)
		}
		if err != nil {
			return err
		}

		r, err := l.p.begin(store.OpListReplace)
		if err != nil {
			return err
		}

		r.Uint(version)
		if err := l.write(r, all); err != nil {
			r.free()
			return err
		}
		done := false
		if err := r.do(ctx, func(in *store.Reader) error { done = in.Bool(); return nil }); err != nil || done {
			return err
		}
	}
}

// UpdateAt is like [Update], but for the i-th element, which f cannot remove.
func UpdateAt[T, A any](ctx context.Context, l *List[T], i int, f *Func[T, A], arg A) (v T, err error) {
	r, err := l.p.begin(store.OpListChange)
	if err != nil {
		return v, err
	}
	err = f.writeTo(r)
	r.Int(i)
	return change(ctx, r, err, f, arg)
}

// Close ends the proxy; see [Dict.Close].
func (l *List[T]) Close() error { return l.p.close() }

// MarshalBinary encodes the proxy, not the contents.
func (l *List[T]) MarshalBinary() ([]byte, error) { return l.p.marshal() }

// UnmarshalBinary sets l to the proxy encoded in data.
func (l *List[T]) UnmarshalBinary(data []byte) error {
	fresh, err := listOf[T]()
	if err != nil {
		return err
	}
	fresh.p, err = unmarshal(data, store.KindList, fresh.shape())
	if err == nil {
		*l = *fresh
	}
	return err
}
