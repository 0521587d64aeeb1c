package store

import (
	"container/list"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// Operations of semaphores. The comments list the results.
const (
	OpSemAcquire Op = iota + 140
	OpSemTry        // : whether it has a permit
	OpSemRelease
	OpSemAvailable // : number of free permits
)

// semaphore hands out permits in order of arrival. A bounded semaphore knows which clients have
// permits.
type semaphore struct {
	free    int
	bounded bool
	has     map[*Client]int
	waiters list.List
}

func init() {
	makers[KindSemaphore] = func(x *exec) (body, error) {
		m := &semaphore{free: x.in.Int(), bounded: x.in.Bool(), has: map[*Client]int{}}
		if m.free < 0 {
			return nil, errMalformed
		}
		return m, nil
	}
	define(KindSemaphore, map[Op]func(x *exec) error{
		OpSemAcquire:   semAcquire,
		OpSemTry:       semTry,
		OpSemRelease:   semRelease,
		OpSemAvailable: func(x *exec) error { x.out.Int(x.semaphore().free); return x.in.Err() },
	}, OpSemAcquire)
}

func (x *exec) semaphore() *semaphore { return x.o.body.(*semaphore) }

func (m *semaphore) take(c *Client, o *object) {
	m.free--
	if m.bounded {
		m.has[c]++
		c.hold(o, 1)
	}
}

func (m *semaphore) tryTake(x *exec) error {
	if m.bounded {
		if err := x.roomToHold(); err != nil {
			return err
		}
	}
	m.take(x.c, x.o)
	return nil
}

func (m *semaphore) grant(s *Store, o *object) {
	for p := first(&m.waiters); p != nil && m.free > 0; p = first(&m.waiters) {
		m.take(p.c, o)
		s.answer(p, nil, nil)
	}
}

func semAcquire(x *exec) error {
	m := x.semaphore()
	if m.free == 0 {
		return x.s.wait(&m.waiters, &pending{c: x.c, call: x.call, o: x.o})
	}
	if err := m.tryTake(x); err != nil {
		return err
	}
	return x.in.Err()
}

func semTry(x *exec) error {
	m := x.semaphore()
	ok := m.free > 0
	if ok {
		if err := m.tryTake(x); err != nil {
			return err
		}
	}
	x.out.Bool(ok)
	return x.in.Err()
}

func semRelease(x *exec) error {
	m := x.semaphore()
	if m.bounded {
		if m.has[x.c] == 0 {
			return errs.ErrOverRelease
		}
		if m.has[x.c]--; m.has[x.c] == 0 {
			delete(m.has, x.c)
		}
		x.c.hold(x.o, -1)
	}
	m.free++
	m.grant(x.s, x.o)
	return x.in.Err()
}

// leave takes back a client's permits of a bounded semaphore.
func (m *semaphore) leave(s *Store, o *object, c *Client) {
	m.free += m.has[c]
	delete(m.has, c)
	m.grant(s, o)
}

func (m *semaphore) empty(s *Store, _ *object) { s.answerAll(&m.waiters, ErrGone) }
