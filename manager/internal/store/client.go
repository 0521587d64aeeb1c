package store

import (
	"container/list"
	"fmt"
)

// Client is a user of a Store. It makes calls, each of which is answered once.
type Client struct {
	reply  func(call uint32, answer []byte)
	far    bool
	has    map[uint64]int      // objects, and how many times the client was told of each
	pinned map[uint64]bool     // objects for which it has sent on proxies
	holds  map[*object]int     // objects of which it holds a lock or permit
	calls  map[uint32]*pending // calls that wait or run
	most   int                 // maximum size of an answer in bytes
	gone   bool

	maxHad   int           // peak of len(has)
	pending  int           // number of calls that count
	waiting  int           // bytes that these calls count for
	borrowed int           // bytes of values that its functions work on
	room     chan struct{} // closed when borrowed decreases; nil if no function is waiting for that
	walks    budget
	account  Account
}

// An Account bounds the answers that were made for a client but that the client has not read. The
// Store calls the methods of an Account with the lock held, and so makes no other answer between
// two calls for the same request.
type Account interface {
	// Room returns the number of bytes that an answer may have now. The number is always enough for
	// a short answer.
	Room() int
	// Charge counts an answer of n bytes that has been made.
	Charge(n int)
}

// Bound sets the Account that bounds a client's answers. It must be called before the client's
// first request.
func (c *Client) Bound(a Account) { c.account = a }

// NewClient makes a client. The Store passes answers that are not ready at once to reply, which
// must neither block nor use the Store. An answer has at most most bytes. A far client may lose its
// connection and still be alive.
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
	queue  *list.List // the queue in which it waits
	place  *list.Element
	cancel func() // if nil, the call is removed from its queue and answered
	stop   func() // ends the context of registered code
	size   int    // bytes that the call counts for
	runs   bool   // whether it runs registered code; the call counts until that code returns
	began  bool   // whether that code has a goroutine now

	charged  bool
	answered bool

	// State for different kinds of objects.
	write bool    // of a lock: whether it waits to write
	then  *object // of a condition: the lock to take after the signal
	err   error   // of a condition: the error to return once it has the lock
	value value   // of a queue: the value to put
}

// wait makes a call wait in a queue.
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

// unqueue removes a call from the queue in which it waits.
func (p *pending) unqueue() {
	if p.queue != nil {
		p.queue.Remove(p.place)
		p.queue, p.place = nil, nil
	}
}

// first returns the call that has waited longest, or nil if no call waits.
func first(q *list.List) *pending {
	if e := q.Front(); e != nil {
		return e.Value.(*pending)
	}
	return nil
}

// answer answers a waiting call.
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

// returned notes that a call's registered code has returned. Once the call has also been answered,
// it no longer counts.
func (s *Store) returned(p *pending) {
	p.began = false
	if p.answered {
		s.discharge(p)
	}
}

// answerAll answers all calls in a queue.
func (s *Store) answerAll(q *list.List, err error) {
	for p := first(q); p != nil; p = first(q) {
		s.answer(p, err, nil)
	}
}

// cancel makes the store answer a call soon.
func (s *Store) cancel(p *pending) {
	if p.cancel != nil {
		p.cancel()
		return
	}
	q := p.queue
	s.answer(p, ErrCanceled, nil)
	s.drop(p.o, p.value) // not part of a queue's contents yet
	if b, ok := p.o.body.(leavable); ok {
		b.left(s, p.o, q)
	}
}

// leavable is a body in which a call that stops waiting may affect the calls that are still
// waiting.
type leavable interface {
	left(s *Store, o *object, q *list.List)
}

// Leave takes back everything that a client that is gone had.
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
		if (c.far || c.pinned[id]) && s.lingerTime > 0 && !s.closed {
			s.lingerOn(s.objects[id])
		}
		s.unref(id)
	}

	s.bytes -= hasSize * len(c.has)
	c.has, c.pinned, c.holds = nil, nil, nil
	s.sweep()
}

// hold notes that a client holds n more locks or permits of an object.
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

// give notes that a client is being told of an object.
func (s *Store) give(c *Client, id uint64) {
	o := s.objects[id]
	if o == nil || c.gone {
		return
	}
	if c.has[id]++; c.has[id] == 1 {
		c.maxHad = max(c.maxHad, len(c.has))
		o.refs++
		s.bytes += hasSize
	}
}

// takeBack undoes n calls of give.
func (s *Store) takeBack(c *Client, id uint64, n int) {
	has := c.has[id]
	if has == 0 || n < 1 {
		return
	}
	if c.has[id] -= min(n, has); c.has[id] == 0 {
		delete(c.has, id)
		delete(c.pinned, id)
		s.bytes -= hasSize
		most := c.maxHad
		c.pinned, c.has = smaller(c.pinned, &most), smaller(c.has, &c.maxHad)
		s.unref(id)
	}
}

// unref drops one reference to an object. The caller must call sweep afterwards.
func (s *Store) unref(id uint64) {
	o := s.objects[id]
	if o == nil {
		return
	}
	if o.refs--; o.refs == 0 {
		s.dying = append(s.dying, o)
	}
}

// maxSwept bounds how many objects and elements of objects are removed at a time, since all clients
// wait meanwhile. A single object may have more elements.
const maxSwept = 10_000

// sweep removes objects without references, and objects that were contained only in objects that it
// removes. If there are very many, a goroutine removes the rest.
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
	for n := 0; len(s.dying) > 0 && n < maxSwept; n++ {
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
		s.mu.Unlock() // give other goroutines a turn
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
