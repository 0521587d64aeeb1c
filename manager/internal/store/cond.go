package store

import (
	"container/list"
	"errors"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// Operations of conditions. The comments list the arguments.
const (
	OpCondWait   Op = iota + 150
	OpCondSignal    // whether to wake all waiters
	OpCondUnlock    // whether to pass a signal on first
)

// cond lets clients that share a lock wait for each other.
type cond struct {
	lock    *object
	waiters list.List
}

func (*cond) leave(*Store, *object, *Client) {}

func (c *cond) empty(s *Store, o *object) {
	s.answerAll(&c.waiters, ErrGone)
	s.release(o, []uint64{c.lock.id})
}

func init() {
	makers[KindCond] = func(x *exec) (body, error) {
		o := x.s.objects[x.in.Uint()]
		if o == nil {
			return nil, ErrGone
		}
		if o.kind != KindLock {
			return nil, ErrKind
		}
		if err := x.s.contain(x.o, []uint64{o.id}); err != nil {
			return nil, err
		}
		return &cond{lock: o}, nil
	}
	define(KindCond, map[Op]func(x *exec) error{OpCondWait: condWait, OpCondSignal: condSignal, OpCondUnlock: condUnlock}, OpCondWait)
}

// condWait releases the lock and waits. Even a canceled call takes the lock again.
func condWait(x *exec) error {
	c, s := x.o.body.(*cond), x.s
	l := c.lock.body.(*lock)
	if l.holder != x.c {
		return errs.ErrNotHeld
	}
	p := &pending{c: x.c, call: x.call, o: x.o, then: c.lock, write: true}
	p.cancel = func() { c.cancel(s, p) }
	if err := s.wait(&c.waiters, p); !errors.Is(err, errLater) {
		return err
	}
	if err := l.unlock(s, x.c, c.lock); err != nil {
		return err
	}
	return errLater
}

// cancel makes a waiting call take the lock again. If the client is gone, a signal that the client
// has already received goes to another waiter.
func (c *cond) cancel(s *Store, p *pending) {
	l := p.then.body.(*lock)
	signalled := p.queue == &l.waiters && p.err == nil
	switch {
	case p.c.gone:
		s.answer(p, ErrCanceled, nil)
		if next := first(&c.waiters); signalled && next != nil {
			next.relock(s)
		}
		l.grant(s, p.then)
	case !signalled:
		p.err = ErrCanceled
		p.relock(s)
	}
}

// relock moves a call from the queue of the condition to the queue of the lock.
func (p *pending) relock(s *Store) {
	o := p.then
	l := o.body.(*lock)
	if p.queue == &l.waiters {
		return
	}

	p.unqueue()
	if o.gone || l.dead {
		err := errs.ErrOwnerDied
		if o.gone {
			err = ErrGone
		}
		s.answer(p, err, nil)
		return
	}

	p.enqueue(&l.waiters)
	l.grant(s, o)
}

func condSignal(x *exec) error {
	all := x.in.Bool()
	c := x.o.body.(*cond)
	if err := x.in.Err(); err != nil {
		return err
	}
	if c.lock.body.(*lock).holder != x.c {
		return errs.ErrNotHeld
	}
	for p := first(&c.waiters); p != nil; p = first(&c.waiters) {
		p.relock(x.s)
		if !all {
			break
		}
	}
	return nil
}

// condUnlock releases a lock that a client got after it had stopped waiting for the lock. If the
// client also got a signal, condUnlock passes the signal on.
func condUnlock(x *exec) error {
	signalled := x.in.Bool()
	if err := x.in.Err(); err != nil {
		return err
	}
	c := x.o.body.(*cond)
	l := c.lock.body.(*lock)
	if l.holder != x.c {
		return errs.ErrNotHeld
	}
	if next := first(&c.waiters); signalled && next != nil {
		next.relock(x.s)
	}
	return l.unlock(x.s, x.c, c.lock)
}
