package store

import (
	"container/list"

	"github.com/go-multiprocessing/mp/internal/errs"
)

// Operations of locks. The comments list the arguments and, after a colon, the results.
const (
	OpLock    Op = iota + 120 // for a writer
	OpLockTry                 // : whether it has the lock
	OpLockUnlock
	OpLockRead    // for a reader
	OpLockTryRead // : whether it has the lock
	OpLockReadUnlock
	OpLockRepair   // : whether the client must repair what the lock guards
	OpLockRepaired // whether the repair has succeeded
)

// lock is a lock for one writer or several readers. Waiters get the lock in order of arrival.
type lock struct {
	holder    *Client
	readers   map[*Client]int
	waiters   list.List
	dead      bool // a holder has died, and no client has repaired what the lock guards
	repairing *Client
	repairers list.List
}

func init() {
	makers[KindLock] = func(*exec) (body, error) { return &lock{readers: map[*Client]int{}}, nil }
	define(KindLock, map[Op]func(x *exec) error{
		OpLock:           func(x *exec) error { return x.lock(&pending{write: true}) },
		OpLockTry:        func(x *exec) error { return x.tryLock(true) },
		OpLockUnlock:     func(x *exec) error { return x.theLock().unlock(x.s, x.c, x.o) },
		OpLockRead:       func(x *exec) error { return x.lock(&pending{}) },
		OpLockTryRead:    func(x *exec) error { return x.tryLock(false) },
		OpLockReadUnlock: func(x *exec) error { return x.theLock().unlockRead(x.s, x.c, x.o) },
		OpLockRepair:     lockRepair,
		OpLockRepaired:   lockRepaired,
	}, OpLock, OpLockRead, OpLockRepair)
}

func (x *exec) theLock() *lock { return x.o.body.(*lock) }

// free reports whether the lock can be taken now.
func (l *lock) free(write bool) bool {
	return l.holder == nil && (!write || len(l.readers) == 0)
}

func (l *lock) take(c *Client, o *object, write bool) {
	if write {
		l.holder = c
	} else {
		l.readers[c]++
	}
	c.hold(o, 1)
}

func (x *exec) lock(p *pending) error {
	l := x.theLock()
	p.c, p.call, p.o = x.c, x.call, x.o
	switch {
	case l.dead:
		return errs.ErrOwnerDied
	case l.waiters.Len() > 0 || !l.free(p.write):
		return x.s.wait(&l.waiters, p)
	}
	if err := x.roomToHold(); err != nil {
		return err
	}
	l.take(x.c, x.o, p.write)
	return nil
}

func (x *exec) tryLock(write bool) error {
	l := x.theLock()
	if l.dead {
		return errs.ErrOwnerDied
	}
	ok := l.waiters.Len() == 0 && l.free(write)
	if ok {
		if err := x.roomToHold(); err != nil {
			return err
		}
		l.take(x.c, x.o, write)
	}
	x.out.Bool(ok)
	return nil
}

func (l *lock) unlock(s *Store, c *Client, o *object) error {
	if l.holder != c {
		return errs.ErrNotHeld
	}
	l.holder = nil
	c.hold(o, -1)
	l.grant(s, o)
	return nil
}

func (l *lock) unlockRead(s *Store, c *Client, o *object) error {
	if l.readers[c] == 0 {
		return errs.ErrNotHeld
	}
	if l.readers[c]--; l.readers[c] == 0 {
		delete(l.readers, c)
	}
	c.hold(o, -1)
	l.grant(s, o)
	return nil
}

// grant gives the lock to the waiters whose turn it is.
func (l *lock) grant(s *Store, o *object) {
	if l.dead {
		s.answerAll(&l.waiters, errs.ErrOwnerDied)
		return
	}
	for p := first(&l.waiters); p != nil && l.free(p.write); p = first(&l.waiters) {
		l.take(p.c, o, p.write)
		s.answer(p, p.err, nil)
	}
}

func (l *lock) left(s *Store, o *object, _ *list.List) { l.grant(s, o) }

// leave releases the locks of a dead client. If the client held the lock for writing, the guarded
// data may be half changed.
func (l *lock) leave(s *Store, o *object, c *Client) {
	delete(l.readers, c)
	if l.holder == c {
		l.holder, l.dead = nil, true
	}
	if l.repairing == c {
		l.nextRepair(s, o, false)
	}
	l.grant(s, o)
}

func (l *lock) empty(s *Store, _ *object) {
	s.answerAll(&l.waiters, ErrGone)
	s.answerAll(&l.repairers, ErrGone)
}

func lockRepair(x *exec) error {
	l := x.theLock()
	switch {
	case !l.dead:
		x.out.Bool(false)
	case l.repairing != nil:
		return x.s.wait(&l.repairers, &pending{c: x.c, call: x.call, o: x.o})
	default:
		l.repair(x.c, x.o)
		x.out.Bool(true)
	}
	return nil
}

func (l *lock) repair(c *Client, o *object) {
	l.repairing = c
	c.hold(o, 1)
}

func lockRepaired(x *exec) error {
	ok := x.in.Bool()
	l := x.theLock()
	if err := x.in.Err(); err != nil {
		return err
	}
	if l.repairing != x.c {
		return errs.ErrNotHeld
	}
	x.c.hold(x.o, -1)
	l.nextRepair(x.s, x.o, ok)
	return nil
}

// nextRepair ends a repair. If the repair succeeded, all waiting calls of Recover return. If it
// failed, the next waiting call tries.
func (l *lock) nextRepair(s *Store, o *object, ok bool) {
	l.repairing = nil
	if ok {
		l.dead = false
		for p := first(&l.repairers); p != nil; p = first(&l.repairers) {
			s.answer(p, nil, func(w *Writer) { w.Bool(false) })
		}
	} else if p := first(&l.repairers); p != nil {
		l.repair(p.c, o)
		s.answer(p, nil, func(w *Writer) { w.Bool(true) })
	}
}
