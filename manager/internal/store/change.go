package store

import (
	"container/list"
	"context"
	"errors"
	"time"
)

// A change is a call of a registered function that computes a new value from an old one. The
// function runs in its own goroutine, without the lock. If the value has changed meanwhile, the
// function runs again with the current value. Changes of the same place run one after another.

// place is a place where a value is changed. Its functions are called with the lock held.
type place struct {
	name   string // identifies the queue of changes; see turn
	find   func() (*cell, error)
	add    func(b []byte) error // called if there is no value
	remove func()               // nil if the value cannot be removed
}

// changer is a registered function that changes a value.
type changer func(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error)

var errCannotRemove = errors.New("manager: this value cannot be removed")

// function reads the name and shape of a changer.
func (x *exec) function() (changer, error) {
	name, shape := string(x.in.Bytes()), x.in.Uint()
	if x.in.bad {
		return nil, errMalformed
	}
	return x.s.functions.Change(name, shape)
}

// turns holds the waiting changes of each place of a Store.
type turns map[turn]*list.List

type turn struct {
	o    *object
	name string
}

// change begins a change, whose argument has yet to be read.
func (x *exec) change(f changer, at place) error {
	arg := append([]byte(nil), x.in.Bytes()...)
	if err := x.in.Err(); err != nil {
		return err
	}

	s, o := x.s, x.o
	job := &change{s: s, o: o, f: f, at: at, arg: arg}
	ctx, p, err := x.begin(runSize+len(arg)+len(at.name), job.finish)
	if err != nil {
		return err
	}

	job.ctx, job.p = ctx, p
	key := turn{o, at.name}
	if q := s.turns[key]; q != nil {
		job.place = q.PushBack(job)
		return errLater
	}
	s.turns[key] = list.New()
	job.begin()
	return errLater
}

// begin turns the request into a call that counts for size bytes and runs until it is answered. The
// call's context ends when the call is canceled. After a further functionGrace, finish is called
// with ErrCanceled.
func (x *exec) begin(size int, finish func(err error)) (context.Context, *pending, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pending{c: x.c, call: x.call, o: x.o, stop: cancel, size: size, runs: true}
	cancelled := false
	p.cancel = func() {
		if cancelled {
			return
		}
		cancelled = true
		cancel()
		time.AfterFunc(functionGrace, func() { finish(ErrCanceled) })
	}

	var aside list.List
	if err := x.s.wait(&aside, p); !errors.Is(err, errLater) {
		cancel()
		return nil, nil, err
	}

	return ctx, p, nil
}

// functionGrace is how long a function has to return after its context has ended. After that, its
// call is answered without waiting for the function.
const functionGrace = 250 * time.Millisecond

// change is a change that is waiting for its turn or running.
type change struct {
	s     *Store
	p     *pending
	o     *object
	f     changer
	at    place
	arg   []byte
	ctx   context.Context
	place *list.Element // in the queue for the place; nil once the change has begun
	over  bool
}

// begin runs a change whose turn has come.
func (c *change) begin() {
	c.p.began = true
	go c.run(c.ctx)
}

// run runs the function until the value does not change while the function runs.
func (c *change) run(ctx context.Context) {
	defer c.p.stop()
	for over := false; !over; {
		at, err := c.look(ctx)
		if err == nil {
			err = ctx.Err()
		}

		var b []byte
		var remove bool
		if err == nil {
			b, remove, err = c.f(ctx, at.old, c.arg)
		}
		c.s.giveBack(c.p.c, at.lent)
		if err != nil {
			c.finish(err)
			break
		}
		over = c.put(at.cell, at.version, b, remove)
		c.s.functions.Taken(b)
	}

	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.returned(c.p)
}

// found is the content of a place.
type found struct {
	cell    *cell
	version uint64
	old     []byte // a copy; nil if there was no value
	lent    int    // bytes borrowed for old
}

// look returns the content of the place.
func (c *change) look(ctx context.Context) (at found, err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()

	for {
		if c.o.gone {
			return at, ErrGone
		}

		at.cell, err = c.at.find()
		if at.cell == nil {
			return at, err
		}
		if at.lent, err = c.s.lend(ctx, c.p.c, len(at.cell.v.b)); err != nil {
			return at, err
		}
		if at.lent == len(at.cell.v.b) {
			at.version, at.old = at.cell.version, append([]byte{}, at.cell.v.b...)
			return at, nil
		}
		c.s.takeBackLent(c.p.c, at.lent) // the value changed while lend waited
	}
}

// put stores a new value unless the old one has changed, and reports whether the change is done.
func (c *change) put(was *cell, version uint64, b []byte, remove bool) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep()
	if c.over {
		return true
	}

	s.acts = c.p.c
	defer func() { s.acts = nil }()
	at, err := c.at.find()
	switch {
	case c.o.gone:
		err = ErrGone
	case err != nil:
	case at != was || at != nil && at.version != version:
		return false
	case !remove && s.fits(c.p.c, len(b)) != nil:
		err = errTooMuch
	case remove && c.at.remove == nil:
		err = errCannotRemove
	case remove:
		if at != nil {
			c.at.remove()
		}
	case at == nil:
		err = c.at.add(b)
	default:
		err = at.set(s, c.o, b)
	}
	if err == nil && !remove && !c.p.c.gone {
		for _, id := range s.refsIn(b) {
			s.give(c.p.c, id)
		}
	}

	c.answer(err, func(w *Writer) {
		w.Bool(!remove)
		if !remove {
			w.Bytes(b)
		}
	})

	return true
}

// finish answers the call, unless it was answered already.
func (c *change) finish(err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.answer(err, nil)
	c.s.sweep()
}

// answer answers the call, and starts the next change of the same place.
func (c *change) answer(err error, result func(w *Writer)) {
	if c.over {
		return
	}

	c.over = true
	c.s.answer(c.p, err, result)
	key := turn{c.o, c.at.name}
	q := c.s.turns[key]
	if c.place != nil { // still waiting for its turn
		q.Remove(c.place)
		c.p.stop()
		return
	}

	if e := q.Front(); e != nil {
		next := q.Remove(e).(*change)
		next.place = nil
		next.begin()
	} else {
		delete(c.s.turns, key)
	}
}
