package manager

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Queue is a proxy for a queue in a manager. It is meant for use from other machines, and for use
// in other objects; between processes of the same tree an [ipc.Queue] is much faster. The queue is
// first in, first out, and waiting receivers take turns. Elements that a client had received when
// it died are lost. The notes on values in the documentation of [Dict] apply here as well.
type Queue[T any] struct {
	p       *proxy
	element *codec.Type[T]
}

// NewQueue makes a Queue for at most the given number of elements in a manager; 0 means no bound.
// If a part of T cannot be encoded, the error names that part.
func NewQueue[T any](ctx context.Context, m *Manager, most int, opts ...Option) (*Queue[T], error) {
	q, err := queueOf[T]()
	if err == nil && most < 0 {
		err = fmt.Errorf("%d elements", most)
	}
	if err != nil {
		return nil, fmt.Errorf("manager: NewQueue: %w", err)
	}
	q.p, err = m.make(ctx, store.KindQueue, q.shape(), opts, func(r *request) error { r.Int(most); return nil })
	if err != nil {
		return nil, err
	}
	return q, nil
}

func queueOf[T any]() (*Queue[T], error) {
	c, err := codec.ForMessage[T]()
	return &Queue[T]{element: c}, err
}

func (q *Queue[T]) shape() uint64 { return store.Shape(store.KindQueue, q.element.Fingerprint()) }

func (q *Queue[T]) beginPut(op store.Op, v *T) (*request, error) {
	r, err := q.p.begin(op)
	if err != nil {
		return nil, err
	}
	if err := write(r, q.element, v); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// Put puts v into the queue, and waits for room until ctx ends. After [Queue.CloseSend] it returns
// [mp.ErrClosed].
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	r, err := q.beginPut(store.OpQueuePut, &v)
	if err != nil {
		return err
	}
	return r.do(ctx, nil)
}

// TryPut is like [Queue.Put], but returns [ipc.ErrFull] instead of waiting for room.
func (q *Queue[T]) TryPut(ctx context.Context, v T) error {
	r, err := q.beginPut(store.OpQueueTryPut, &v)
	if err != nil {
		return err
	}
	return r.do(ctx, func(in *store.Reader) error {
		if !in.Bool() {
			return ipc.ErrFull
		}
		return nil
	})
}

// Get takes the first element, and waits for one until ctx ends. When the queue is closed and
// empty, Get returns [mp.ErrClosed].
func (q *Queue[T]) Get(ctx context.Context) (v T, err error) {
	r, err := q.p.begin(store.OpQueueGet)
	if err != nil {
		return v, err
	}
	r.late = q.p.unget(func(*store.Reader) bool { return true })
	err = r.do(ctx, func(in *store.Reader) error { return read(in, q.element, &v) })
	return v, err
}

// unget returns a function that puts the element of a late answer, if it has one, back into the
// queue, since the caller no longer waits for the element.
func (p *proxy) unget(there func(in *store.Reader) bool) func(answer []byte) {
	s, id := p.s, p.id
	return func(answer []byte) {
		in, err := store.Answer(answer)
		if err != nil || !there(in) {
			return
		}
		r := s.begin(store.OpQueueUnget, id)
		r.Bytes(in.Bytes())
		_ = r.do(context.Background(), nil)
	}
}

// TryGet is like [Queue.Get], but returns [ipc.ErrEmpty] instead of waiting for an element.
func (q *Queue[T]) TryGet(ctx context.Context) (v T, err error) {
	r, err := q.p.begin(store.OpQueueTryGet)
	if err != nil {
		return v, err
	}
	r.late = q.p.unget((*store.Reader).Bool)
	err = r.do(ctx, func(in *store.Reader) error {
		var ok bool
		err := readIf(in, q.element, &v, &ok)
		if err == nil && !ok {
			err = ipc.ErrEmpty
		}
		return err
	})
	return v, err
}

// All yields the elements as [Queue.Get] returns them, until the queue is closed and empty. An
// error comes last.
func (q *Queue[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := q.Get(ctx)
			if errors.Is(err, mp.ErrClosed) || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Len returns the number of elements.
func (q *Queue[T]) Len(ctx context.Context) (int, error) { return q.p.askInt(ctx, store.OpQueueLen) }

// TaskDone reports that an element has been processed. If TaskDone is called more times than
// elements were received, it returns [ipc.ErrOverRelease].
func (q *Queue[T]) TaskDone(ctx context.Context) error { return q.p.ask(ctx, store.OpQueueDone, nil) }

// Join waits until [Queue.TaskDone] has been called for each element that was put.
func (q *Queue[T]) Join(ctx context.Context) error { return q.p.ask(ctx, store.OpQueueJoin, nil) }

// CloseSend closes the queue for further elements from any process. Get still returns the elements
// that are already in the queue.
func (q *Queue[T]) CloseSend(ctx context.Context) error { return q.p.ask(ctx, store.OpQueueClose, nil) }

// Close ends the proxy, not the queue; see [Dict.Close].
func (q *Queue[T]) Close() error { return q.p.close() }

// MarshalBinary encodes the proxy, not the contents.
func (q *Queue[T]) MarshalBinary() ([]byte, error) { return q.p.marshal() }

// UnmarshalBinary sets q to the proxy encoded in data.
func (q *Queue[T]) UnmarshalBinary(data []byte) error {
	fresh, err := queueOf[T]()
	if err != nil {
		return err
	}
	fresh.p, err = unmarshal(data, store.KindQueue, fresh.shape())
	if err == nil {
		*q = *fresh
	}
	return err
}
