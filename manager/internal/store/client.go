package store

import (
	"container/list"
	"fmt"
)

// Client is who uses a Store. It has a number of calls, each of which is answered once.
type Client struct {
	reply  func(call uint32, answer []byte)
	far    bool
	has    map[uint64]int      // objects, and how often it was told of them
	pinned map[uint64]bool     // those that it has sent on
	holds  map[*object]int     // where it has a lock or the like
	calls  map[uint32]*pending // that wait or run
	most   int                 // maximum size of an answer in bytes
	gone   bool

	mostHad  int           // peak of len(has)
	pending  int           // calls that count
	waiting  int           // bytes that these count for
	borrowed int           // bytes of values that its functions work on
	room     chan struct{} // closed when borrowed gets smaller; nil if no function waits for that
	walks    budget
	account  Account
}

// An Account bounds the answers that have been made for a client and that it has not read. Its methods are called
// under the Store's lock, so that no other answer is made in between.
type Account interface {
	// Room is how many bytes an answer may have now. There is always some for a short one.
	Room() int
	// Charge is told how many bytes an answer has that was made.
	Charge(n int)
}

// Bound has an Account bound a client's answers. It is called before the client asks anything.
func (c *Client) Bound(a Account) { c.account = a }

// NewClient makes a client. Answers that are not ready at once go to reply, which must neither block nor use
// the Store. An answer has at most most bytes. The connection of a far client may be lost while the client
// lives.
func (s *Store) NewClient(far bool, most int, reply func(call uint32, answer []byte)) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Client{reply: reply, far: far, most: most, has: map[uint64]int{}, pinned: map[uint64]bool{}, holds: map[*object]int{}, calls: map[uint32]*pending{}}
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
	size   int    // bytes that it counts for
	runs   bool   // it runs the user's code, and counts until that returns
	began  bool   // the user's code has a goroutine now

	charged  bool
	answered bool

	// What it waits for, of each kind.
	write bool    // of a lock: for itself alone
	then  *object // of a condition: the lock that it takes then
	err   error   // with which it is answered when it has that
	value value   // of a queue: what it puts
}

// wait lets a call wait in a queue.
func (s *Store) wait(q *list.List, p *pending) error {
	if p.c.calls[p.call] != nil || p.call == 0 {
		return errMalformed
	}
	if !p.runs {
		p.size = waitSize + len(p.value.b)
	}
	if err := s.charge(p); err != nil {
		return err
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
	if p.answered {
		return
	}
	p.answered = true
	if p.c.calls[p.call] == p {
		delete(p.c.calls, p.call)
	}
	if !p.began {
		s.discharge(p)
	}
	if p.c.gone {
		return
	}
	var w Writer
	w.answer(p.call, err, result)
	p.c.reply(p.call, w.B)
}

// returned notes that the user's code of a call has returned. The call no longer counts once it has been
// answered too.
func (s *Store) returned(p *pending) {
	p.began = false
	if p.answered {
		s.discharge(p)
	}
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
	s.left[c.far] += c.waiting
	c.gone, c.waiting, c.pending = true, 0, 0
	delete(s.clients, c)
	for _, p := range c.calls {
		s.cancel(p)
	}
	for o := range c.holds {
		o.body.leave(s, o, c)
	}
	for id := range c.has {
		if (c.far || c.pinned[id]) && s.linger > 0 && !s.closed {
			s.lingerOn(s.objects[id])
		}
		s.unref(id)
	}
	s.bytes -= hasSize * len(c.has)
	c.has, c.pinned, c.holds = nil, nil, nil
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

// roomToHold returns an error if the client may hold no more locks or permits.
func (x *exec) roomToHold() error {
	limit := x.s.limits.Waiting
	if limit > 0 && x.c.holds[x.o] == 0 && holdSize*(len(x.c.holds)+1) > limit {
		return fmt.Errorf("%w: one client holds %d locks", ErrLimit, len(x.c.holds))
	}
	return nil
}

// give tells a client of an object.
func (s *Store) give(c *Client, id uint64) {
	o := s.objects[id]
	if o == nil || c.gone {
		return
	}
	if c.has[id]++; c.has[id] == 1 {
		c.mostHad = max(c.mostHad, len(c.has))
		o.refs++
		s.bytes += hasSize
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
		s.bytes -= hasSize
		most := c.mostHad
		c.pinned, c.has = smaller(c.pinned, &most), smaller(c.has, &c.mostHad)
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

// mostSwept is how many objects are removed at a time, or how many elements of them, since all clients wait
// meanwhile. A single object may have more.
const mostSwept = 10_000

// sweep removes objects without references, and those that only they contained. If there are
// very many, a goroutine removes the rest.
func (s *Store) sweep() {
	if len(s.dying) == 0 || s.sweeps {
		return
	}
	s.sweepSome()
	if len(s.dying) > 0 {
		s.sweeps = true
		s.ending.Go(s.sweepRest)
	}
}

func (s *Store) sweepSome() {
	for n := 0; len(s.dying) > 0 && n < mostSwept; n++ {
		o := s.dying[len(s.dying)-1]
		s.dying = s.dying[:len(s.dying)-1]
		if o.refs == 0 && !o.gone {
			if b, ok := o.body.(sized); ok {
				n += b.size()
			}
			s.remove(o)
		}
	}
	if len(s.dying) == 0 {
		s.dying = nil
	}
}

func (s *Store) sweepRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dying) > 0 {
		s.sweepSome()
		s.mu.Unlock() // let others have their turn
		s.mu.Lock()
	}
	s.sweeps = false
}

func (s *Store) remove(o *object) {
	o.gone = true
	delete(s.objects, o.id)
	s.bytes -= objectSize
	o.body.empty(s, o)
}
