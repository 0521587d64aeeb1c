package store

import (
	"container/list"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// Operations of barriers. The comments list the arguments and, after a colon, the results.
const (
	OpBarrierWait Op = iota + 180 // whether it has an action: index, whether to run the action
	OpBarrierDone                 // whether the action has succeeded
	OpBarrierAbort
	OpBarrierReset
	OpBarrierState // : parties, waiting parties, whether it is broken
)

// barrier makes its parties wait until all have arrived. The last party may run an action before
// the others go on.
type barrier struct {
	parties int
	broken  bool
	acting  *Client
	waiters list.List
}

func init() {
	makers[KindBarrier] = func(x *exec) (body, error) {
		b := &barrier{parties: x.in.Int()}
		if b.parties < 1 {
			return nil, errMalformed
		}
		return b, nil
	}

	define(KindBarrier, map[Op]func(x *exec) error{
		OpBarrierWait:  barrierWait,
		OpBarrierDone:  barrierDone,
		OpBarrierAbort: func(x *exec) error { x.barrier().abort(x.s, x.o); return x.in.Err() },
		OpBarrierReset: func(x *exec) error { x.barrier().abort(x.s, x.o); x.barrier().broken = false; return x.in.Err() },
		OpBarrierState: func(x *exec) error {
			b := x.barrier()
			x.out.Int(b.parties)
			x.out.Int(b.waiters.Len())
			x.out.Bool(b.broken)
			return x.in.Err()
		},
	}, OpBarrierWait)
}

func (x *exec) barrier() *barrier { return x.o.body.(*barrier) }

func barrierWait(x *exec) error {
	b, act := x.barrier(), x.in.Bool()
	if err := x.in.Err(); err != nil {
		return err
	}
	switch {
	case b.broken, b.acting != nil: // more parties have come than the barrier is for
		return errs.ErrBroken
	case b.waiters.Len() < b.parties-1:
		return x.s.wait(&b.waiters, &pending{c: x.c, call: x.call, o: x.o})
	}

	x.out.Int(0)
	x.out.Bool(act)
	if act {
		b.acting = x.c
		x.c.hold(x.o, 1)
	} else {
		b.pass(x.s)
	}

	return nil
}

// pass lets all waiting parties go on. The first party to arrive gets the highest index.
func (b *barrier) pass(s *Store) {
	for p := first(&b.waiters); p != nil; p = first(&b.waiters) {
		index := b.waiters.Len()
		s.answer(p, nil, func(w *Writer) { w.Int(index); w.Bool(false) })
	}
}

func barrierDone(x *exec) error {
	b, ok := x.barrier(), x.in.Bool()
	if err := x.in.Err(); err != nil {
		return err
	}
	if b.acting != x.c {
		return errs.ErrBroken
	}
	b.acting = nil
	x.c.hold(x.o, -1)
	if ok {
		b.pass(x.s)
	} else {
		b.abort(x.s, x.o)
	}
	return nil
}

// abort breaks the barrier for all waiting parties.
func (b *barrier) abort(s *Store, o *object) {
	b.broken = true
	if b.acting != nil {
		b.acting.hold(o, -1)
		b.acting = nil
	}
	s.answerAll(&b.waiters, errs.ErrBroken)
}

// left breaks the barrier because a party has given up.
func (b *barrier) left(s *Store, o *object, _ *list.List) { b.abort(s, o) }

func (b *barrier) leave(s *Store, o *object, c *Client) {
	if b.acting == c {
		b.abort(s, o)
	}
}

func (b *barrier) empty(s *Store, _ *object) { s.answerAll(&b.waiters, ErrGone) }
