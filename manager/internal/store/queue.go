package store

import (
	"container/list"
	"errors"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// Operations of queues. The comments list the arguments and, after a colon, the results.
const (
	OpQueuePut    Op = iota + 100 // value
	OpQueueTryPut                 // value: whether there was room
	OpQueueGet                    // : value
	OpQueueTryGet                 // : whether there was one, value
	OpQueueUnget                  // value, which becomes the first again
	OpQueueLen
	OpQueueDone
	OpQueueJoin
	OpQueueClose
)

// queue is a queue that may be bounded. A call that waits to put carries its value.
type queue struct {
	most             int // 0 means no bound
	all              list.List
	putters, getters list.List
	joiners          list.List
	undone           int // number of elements that were put but are not done
	got              int // number of these that a client has received
	ended            bool
}

func (q *queue) leave(*Store, *object, *Client) {}

func (q *queue) empty(s *Store, o *object) {
	for e := q.all.Front(); e != nil; e = e.Next() {
		s.drop(o, e.Value.(value))
	}
	q.all.Init()
	for p := first(&q.putters); p != nil; p = first(&q.putters) {
		s.drop(o, p.value)
		s.answer(p, ErrGone, nil)
	}
	s.answerAll(&q.getters, ErrGone)
	s.answerAll(&q.joiners, ErrGone)
}

func init() {
	makers[KindQueue] = func(x *exec) (body, error) {
		q := &queue{most: x.in.Int()}
		if q.most < 0 {
			return nil, errMalformed
		}
		return q, nil
	}

	define(KindQueue, map[Op]func(x *exec) error{
		OpQueuePut:    func(x *exec) error { return x.put(true) },
		OpQueueTryPut: func(x *exec) error { return x.put(false) },
		OpQueueGet:    func(x *exec) error { return x.get(true) },
		OpQueueTryGet: func(x *exec) error { return x.get(false) },
		OpQueueUnget:  queueUnget,
		OpQueueLen:    func(x *exec) error { x.out.Int(x.queue().all.Len()); return x.in.Err() },
		OpQueueDone:   queueDone,
		OpQueueJoin:   queueJoin,
		OpQueueClose:  queueClose,
	}, OpQueuePut, OpQueueGet, OpQueueJoin)
}

func (x *exec) queue() *queue { return x.o.body.(*queue) }

func (x *exec) put(wait bool) error {
	b := x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	q := x.queue()
	full := q.most > 0 && q.all.Len() >= q.most
	switch {
	case q.ended:
		return errs.ErrClosed
	case full && !wait:
		x.out.Bool(false)
		return nil
	}

	v, err := x.s.keep(x.o, b, value{})
	if err != nil {
		return err
	}
	if full {
		err := x.s.wait(&q.putters, &pending{c: x.c, call: x.call, o: x.o, value: v})
		if !errors.Is(err, errLater) {
			x.s.drop(x.o, v)
		}
		return err
	}

	q.add(x.s, x.o, v)
	if !wait {
		x.out.Bool(true)
	}

	return nil
}

// add adds a value, or hands it to a waiting call.
func (q *queue) add(s *Store, o *object, v value) {
	q.undone++
	q.all.PushBack(v)
	q.handOut(s, o)
}

// handOut hands values to waiting calls.
func (q *queue) handOut(s *Store, o *object) {
	for p := first(&q.getters); p != nil && q.all.Len() > 0; p = first(&q.getters) {
		next := q.all.Front().Value.(value)
		if err := s.fits(p.c, len(next.b)); err != nil {
			s.answer(p, err, nil)
			continue
		}
		v := q.take(s)
		s.show(p.c, v)
		s.answer(p, nil, func(w *Writer) { w.Bytes(v.b) })
		s.drop(o, v)
	}
}

// take takes the first value, and then adds the value of a call that waits for room, if there is
// one.
func (q *queue) take(s *Store) value {
	v := q.all.Remove(q.all.Front()).(value)
	q.got++
	if p := first(&q.putters); p != nil {
		q.undone++
		q.all.PushBack(p.value)
		s.answer(p, nil, nil)
	}
	return v
}

func (x *exec) get(wait bool) error {
	if err := x.in.Err(); err != nil {
		return err
	}

	q := x.queue()
	switch {
	case q.all.Len() > 0:
		if err := x.fitsBytes(len(q.all.Front().Value.(value).b)); err != nil {
			return err
		}
		v := q.take(x.s)
		if !wait {
			x.out.Bool(true)
		}
		x.value(v)
		x.s.drop(x.o, v)
		return nil
	case q.ended:
		return errs.ErrClosed
	case !wait:
		x.out.Bool(false)
		return nil
	}

	return x.s.wait(&q.getters, &pending{c: x.c, call: x.call, o: x.o})
}

// queueUnget takes back a value from a client that no longer wants it.
func queueUnget(x *exec) error {
	b := x.in.Bytes()
	if err := x.in.Err(); err != nil {
		return err
	}
	v, err := x.s.keep(x.o, b, value{})
	if err != nil {
		return err
	}
	q := x.queue()
	q.got--
	q.all.PushFront(v)
	q.handOut(x.s, x.o)
	return nil
}

func queueDone(x *exec) error {
	q := x.queue()
	if q.got == 0 {
		return errs.ErrOverRelease
	}
	q.got--
	if q.undone--; q.undone == 0 {
		x.s.answerAll(&q.joiners, nil)
	}
	return x.in.Err()
}

func queueJoin(x *exec) error {
	q := x.queue()
	if q.undone == 0 {
		return x.in.Err()
	}
	return x.s.wait(&q.joiners, &pending{c: x.c, call: x.call, o: x.o})
}

// queueClose closes the queue for further values.
func queueClose(x *exec) error {
	q := x.queue()
	q.ended = true
	for p := first(&q.putters); p != nil; p = first(&q.putters) {
		x.s.drop(x.o, p.value)
		x.s.answer(p, errs.ErrClosed, nil)
	}
	x.s.answerAll(&q.getters, errs.ErrClosed)
	return x.in.Err()
}
