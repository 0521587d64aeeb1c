package store

import (
	"container/list"
	"fmt"
	"time"
)

// Client is who uses a Store. It has a number of calls, each of which is answered once.
type Client struct {
	reply  func(call uint32, answer []byte)
	far    bool
	has    map[uint64]int      // objects, and how often it was told of them
	pinned map[uint64]bool     // those that it has sent on
	holds  map[*object]int     // where it has a lock or the like
	calls  map[uint32]*pending // that wait or run
	gone   bool
}

// NewClient makes a client that gets answers which come later by reply; that must not block, nor use
// the Store. The connection of one that is far away may be lost though it lives.
func (s *Store) NewClient(far bool, reply func(call uint32, answer []byte)) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Client{reply: reply, far: far, has: map[uint64]int{}, pinned: map[uint64]bool{}, holds: map[*object]int{}, calls: map[uint32]*pending{}}
	s.clients[c] = true
	return c
}

// pending is a call that is answered later.
type pending struct {
	c      *Client
	call   uint32
	o      *object
	queue  *list.List // in which it waits
	place  *list.Element
	cancel func() // nil: it is taken out of the queue, and that is the answer
	stop   func() // of code of the user's: ends its context

	// What it waits for, of each kind.
	write bool    // of a lock: for itself alone
	then  *object // of a condition: the lock that it takes then
	err   error   // with which it is answered when it has that
	value value   // of a queue: what it puts
}

// wait lets a call wait in a queue.
func (s *Store) wait(q *list.List, p *pending) error {
	if limit := s.limits.Calls; limit > 0 && len(p.c.calls) >= limit {
		return fmt.Errorf("%w: %d calls of one client wait", ErrLimit, limit)
	}
	if p.c.calls[p.call] != nil || p.call == 0 {
		return errMalformed
	}
	p.c.calls[p.call] = p
	p.enqueue(q)
	return errLater
}

func (p *pending) enqueue(q *list.List) { p.queue, p.place = q, q.PushBack(p) }

// unqueue takes a call out of where it waits.
func (p *pending) unqueue() {
	if p.queue != nil {
		p.queue.Remove(p.place)
		p.queue, p.place = nil, nil
	}
}

// first is the one that has waited longest, or nil.
func first(q *list.List) *pending {
	if e := q.Front(); e != nil {
		return e.Value.(*pending)
	}
	return nil
}

// answer answers a call that has waited.
func (s *Store) answer(p *pending, err error, result func(w *Writer)) {
	p.unqueue()
	if p.c.calls[p.call] == p {
		delete(p.c.calls, p.call)
	}
	if p.c.gone {
		return
	}
	var w Writer
	w.answer(p.call, err, result)
	p.c.reply(p.call, w.B)
}

// answerAll answers all who wait in a queue.
func (s *Store) answerAll(q *list.List, err error) {
	for p := first(q); p != nil; p = first(q) {
		s.answer(p, err, nil)
	}
}

// cancel has a call answered soon, in one way or another.
func (s *Store) cancel(p *pending) {
	if p.cancel != nil {
		p.cancel()
		return
	}
	q := p.queue
	s.answer(p, ErrCanceled, nil)
	s.drop(p.o, p.value) // it is in no queue
	if b, ok := p.o.body.(leavable); ok {
		b.left(s, p.o, q)
	}
}

// leavable is a body of which somebody may go on when another one gives up waiting in a queue.
type leavable interface {
	left(s *Store, o *object, q *list.List)
}

// Leave takes everything from a client that is no more.
func (s *Store) Leave(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	delete(s.clients, c)
	for _, p := range c.calls {
		s.cancel(p)
	}
	for o := range c.holds {
		o.body.leave(s, o, c)
	}
	var later []uint64
	for id := range c.has {
		if (c.far || c.pinned[id]) && s.linger > 0 && !s.closed {
			later = append(later, id)
		} else {
			s.unref(id)
		}
	}
	c.has, c.holds = nil, nil
	if later != nil {
		time.AfterFunc(s.linger, func() { s.expire(later) })
	}
	s.sweep()
}

// expire ends the time for which objects linger.
func (s *Store) expire(ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.unref(id)
	}
	s.sweep()
}

// hold notes that a client has something of an object which it is to give back, n times more.
func (c *Client) hold(o *object, n int) {
	if c.gone {
		return
	}
	if c.holds[o] += n; c.holds[o] <= 0 {
		delete(c.holds, o)
	}
}

// give tells a client of an object.
func (s *Store) give(c *Client, id uint64) {
	o := s.objects[id]
	if o == nil || c.gone {
		return
	}
	if c.has[id]++; c.has[id] == 1 {
		o.refs++
	}
}

// takeBack is give's counterpart, for n times.
func (s *Store) takeBack(c *Client, id uint64, n int) {
	has := c.has[id]
	if has == 0 || n < 1 {
		return
	}
	if c.has[id] -= min(n, has); c.has[id] == 0 {
		delete(c.has, id)
		delete(c.pinned, id)
		s.unref(id)
	}
}

// unref says that one less has an object. sweep is to be called then.
func (s *Store) unref(id uint64) {
	o := s.objects[id]
	if o == nil {
		return
	}
	if o.refs--; o.refs == 0 {
		s.dying = append(s.dying, o)
	}
}

// sweep takes apart what nobody has any more, and what only that has had.
func (s *Store) sweep() {
	for len(s.dying) > 0 {
		o := s.dying[len(s.dying)-1]
		s.dying = s.dying[:len(s.dying)-1]
		if o.refs == 0 && !o.gone {
			s.remove(o)
		}
	}
}

func (s *Store) remove(o *object) {
	o.gone = true
	delete(s.objects, o.id)
	s.bytes -= overhead
	o.body.empty(s, o)
}
