package store

import (
	"container/list"
	"context"
	"errors"
	"time"
)

// A change is a function of the user's that makes a new value of an old one. It runs beside
// everything else; if the value has become another one meanwhile, it runs again with that. Those
// of one place take turns.

// place is where a value is changed. Its functions are called under the lock.
type place struct {
	name   string // of the turns
	find   func() (*cell, error)
	add    func(b []byte) error // when there is none
	remove func()               // nil: it cannot be
}

// changer is what users' functions are to an object.
type changer func(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error)

var errCannotRemove = errors.New("manager: this value cannot be removed")

// function reads the name and shape of a function that changes.
func (x *exec) function() (changer, error) {
	name, shape := string(x.in.Bytes()), x.in.Uint()
	if x.in.bad {
		return nil, errMalformed
	}
	return x.s.functions.Change(name, shape)
}

// turns are those of the places of a Store.
type turns map[turn]*list.List

type turn struct {
	o    *object
	name string
}

// change begins a change, with the argument that is left to be read.
func (x *exec) change(f changer, at place) error {
	arg := append([]byte(nil), x.in.Bytes()...)
	if err := x.in.Err(); err != nil {
		return err
	}
	s, o := x.s, x.o
	job := &change{s: s, o: o, f: f, at: at, arg: arg}
	ctx, p, err := x.begin(job.finish)
	if err != nil {
		return err
	}
	job.p = p
	key := turn{o, at.name}
	if q := s.turns[key]; q != nil {
		q.PushBack(func() { go job.run(ctx) })
		return errLater
	}
	s.turns[key] = list.New()
	go job.run(ctx)
	return errLater
}

// begin makes a call of the request that runs until it is answered. Its context ends when it is
// cancelled, and some time after that finish is called.
func (x *exec) begin(finish func(err error)) (context.Context, *pending, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pending{c: x.c, call: x.call, o: x.o, stop: cancel}
	p.cancel = func() {
		cancel()
		time.AfterFunc(patience, func() { finish(ErrCanceled) })
	}
	var aside list.List
	if err := x.s.wait(&aside, p); !errors.Is(err, errLater) {
		cancel()
		return nil, nil, err
	}
	return ctx, p, nil
}

// patience is how long a function has to return after its context has ended. Then its call is
// answered, and nobody waits for it any more.
const patience = 250 * time.Millisecond

// change is one that waits for its turn or runs.
type change struct {
	s    *Store
	p    *pending
	o    *object
	f    changer
	at   place
	arg  []byte
	over bool
}

// run runs the function until its result is for the value that is there.
func (c *change) run(ctx context.Context) {
	defer c.p.stop()
	for {
		cell, version, old, err := c.look()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			c.finish(err)
			return
		}
		b, remove, err := c.f(ctx, old, c.arg)
		if err != nil {
			c.finish(err)
			return
		}
		over := c.put(cell, version, b, remove)
		c.s.functions.Taken(b)
		if over {
			return
		}
	}
}

// look is what is there; old is nil if there is nothing.
func (c *change) look() (at *cell, version uint64, old []byte, err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.o.gone {
		return nil, 0, nil, ErrGone
	}
	at, err = c.at.find()
	if at != nil {
		version, old = at.version, append([]byte{}, at.v.b...)
	}
	return at, version, old, err
}

// put puts a new value there, unless it has changed, and reports whether that is over.
func (c *change) put(was *cell, version uint64, b []byte, remove bool) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep()
	if c.over {
		return true
	}
	at, err := c.at.find()
	switch {
	case c.o.gone:
		err = ErrGone
	case err != nil:
	case at != was || at != nil && at.version != version:
		return false
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

// finish answers the call if that has not been done.
func (c *change) finish(err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.answer(err, nil)
	c.s.sweep()
}

// answer answers, and lets the next one have its turn.
func (c *change) answer(err error, result func(w *Writer)) {
	if c.over {
		return
	}
	c.over = true
	c.s.answer(c.p, err, result)
	key := turn{c.o, c.at.name}
	q := c.s.turns[key]
	if e := q.Front(); e != nil {
		q.Remove(e).(func())()
	} else {
		delete(c.s.turns, key)
	}
}
