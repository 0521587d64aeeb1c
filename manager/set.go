package manager

import (
	"context"
	"fmt"
	"iter"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Set is a proxy for a set in a manager. The notes on keys and errors in the documentation of
// [Dict] apply here as well.
type Set[T comparable] struct {
	p       *proxy
	element *codec.Type[T]
}

// NewSet makes a Set with the given elements in a manager. If a part of T cannot be encoded or
// cannot be a key, the error names that part.
func NewSet[T comparable](ctx context.Context, m *Manager, elements []T, opts ...Option) (*Set[T], error) {
	s, err := setOf[T]()
	if err != nil {
		return nil, fmt.Errorf("manager: NewSet: %w", err)
	}
	s.p, err = m.make(ctx, store.KindSet, s.shape(), opts, func(r *request) error { return s.write(r, elements) })
	if err != nil {
		return nil, err
	}
	return s, nil
}

func setOf[T comparable]() (*Set[T], error) {
	c, err := keyCodec[T]()
	return &Set[T]{element: c}, err
}

func (s *Set[T]) shape() uint64 { return store.Shape(store.KindSet, s.element.Fingerprint()) }

func (s *Set[T]) write(r *request, elements []T) error { return writeAll(r, s.element, elements) }

// count sends a request with elements and returns its result, which is a number.
func (s *Set[T]) count(ctx context.Context, op store.Op, elements []T) (n int, err error) {
	r, err := s.p.begin(op)
	if err != nil {
		return 0, err
	}
	if err := s.write(r, elements); err != nil {
		r.free()
		return 0, err
	}
	err = r.do(ctx, func(in *store.Reader) error { n = in.Int(); return nil })
	return n, err
}

// Add adds elements and returns how many of them are new. If several processes add the same
// element, exactly one of them gets 1.
func (s *Set[T]) Add(ctx context.Context, elements ...T) (fresh int, err error) {
	return s.count(ctx, store.OpSetAdd, elements)
}

// Remove removes elements and returns how many of them the Set had.
func (s *Set[T]) Remove(ctx context.Context, elements ...T) (were int, err error) {
	return s.count(ctx, store.OpSetRemove, elements)
}

// Has reports whether the Set has an element.
func (s *Set[T]) Has(ctx context.Context, v T) (ok bool, err error) {
	r, err := s.p.begin(store.OpSetHas)
	if err != nil {
		return false, err
	}
	if err := write(r, s.element, &v); err != nil {
		r.free()
		return false, err
	}
	err = r.do(ctx, func(in *store.Reader) error { ok = in.Bool(); return nil })
	return ok, err
}

// Pop removes the oldest element and returns it; ok is false if the Set is empty.
func (s *Set[T]) Pop(ctx context.Context) (v T, ok bool, err error) {
	err = s.p.ask(ctx, store.OpSetPop, func(in *store.Reader) error { return readIf(in, s.element, &v, &ok) })
	return v, ok, err
}

// Len returns the number of elements.
func (s *Set[T]) Len(ctx context.Context) (int, error) { return s.p.askInt(ctx, store.OpSetLen) }

// Clear removes all elements.
func (s *Set[T]) Clear(ctx context.Context) error { return s.p.ask(ctx, store.OpSetClear, nil) }

// Union adds the elements of another Set of the same manager, and returns how many of them are new.
func (s *Set[T]) Union(ctx context.Context, other *Set[T]) (int, error) {
	return s.with(ctx, store.OpSetUnion, other)
}

// Intersect removes the elements that another Set of the same manager lacks, and returns how many
// it removed.
func (s *Set[T]) Intersect(ctx context.Context, other *Set[T]) (int, error) {
	return s.with(ctx, store.OpSetIntersect, other)
}

// Subtract removes the elements that another Set of the same manager has, and returns how many it
// removed.
func (s *Set[T]) Subtract(ctx context.Context, other *Set[T]) (int, error) {
	return s.with(ctx, store.OpSetSubtract, other)
}

func (s *Set[T]) with(ctx context.Context, op store.Op, other *Set[T]) (n int, err error) {
	r, err := s.p.begin(op)
	if err != nil {
		return 0, err
	}
	if err := r.object(other.p); err != nil {
		r.free()
		return 0, err
	}
	err = r.do(ctx, func(in *store.Reader) error { n = in.Int(); return nil })
	return n, err
}

// All yields the elements in the order in which they were added. It fetches a page of elements at a
// time, so elements that are added meanwhile come at the end, and elements that are removed before
// All reaches them are skipped. An error comes last.
func (s *Set[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := uint64(0); ; {
			page, next, err := s.page(ctx, cursor)
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

			cursor = next
		}
	}
}

func (s *Set[T]) page(ctx context.Context, cursor uint64) (page []T, next uint64, err error) {
	r, err := s.p.begin(store.OpSetScan)
	if err != nil {
		return nil, 0, err
	}

	r.Uint(cursor)
	r.Int(pageSize)
	err = r.do(ctx, func(in *store.Reader) error {
		next = in.Uint()
		for range in.Count() {
			var v T
			if err := read(in, s.element, &v); err != nil {
				return err
			}
			page = append(page, v)
		}
		return nil
	})

	return page, next, err
}

// Copy returns the elements that [Set.All] yields.
func (s *Set[T]) Copy(ctx context.Context) (all []T, err error) {
	for v, err := range s.All(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Close ends the proxy; see [Dict.Close].
func (s *Set[T]) Close() error { return s.p.close() }

// MarshalBinary encodes the proxy, not the contents.
func (s *Set[T]) MarshalBinary() ([]byte, error) { return s.p.marshal() }

// UnmarshalBinary sets s to the proxy encoded in data.
func (s *Set[T]) UnmarshalBinary(data []byte) error {
	fresh, err := setOf[T]()
	if err != nil {
		return err
	}
	fresh.p, err = unmarshal(data, store.KindSet, fresh.shape())
	if err == nil {
		*s = *fresh
	}
	return err
}
