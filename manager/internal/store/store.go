// Package store holds the objects of a manager: what is in them, who has them and who waits for
// them. It does no I/O: requests come in by [Store.Do], answers go out by a function of each
// client. All that happens, happens in one order, under one lock, within which nothing waits
// and no code of the user's runs.
package store

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"
)

// IDSize is the size of an ID.
const IDSize = 16

// An ID tells managers apart. Nobody writes one by chance: where a value has one in it, there
// is a proxy.
type ID [IDSize]byte

// Limits bound what a Store holds; 0 is no limit.
type Limits struct {
	Objects int // alive at a time
	Bytes   int // of keys, values and names, and of storing them and who has them
	Calls   int // waiting or running, of one client
	Waiting int // bytes of waiting and running calls, of one client
	Nesting int // of objects in objects
}

// Errors of a Store.
var (
	ErrGone     = errors.New("manager: the object does not exist any more: keep a proxy of it, or give it a name")
	ErrLimit    = errors.New("manager: more than its Limits allow")
	ErrRange    = errors.New("manager: the index is out of range")
	ErrCanceled = errors.New("manager: the call was cancelled")

	errUnknownOp = errors.New("manager: no such operation of this kind of object")
)

// errLater is what an operation returns that is answered later.
var errLater = errors.New("later")

// Store is the content of a manager. It is safe for concurrent use.
type Store struct {
	id        ID
	limits    Limits
	functions Functions
	linger    time.Duration

	mu      sync.Mutex
	objects map[uint64]*object
	names   map[string]*object
	clients map[*Client]bool
	number  func() uint64 // of the next object
	bytes   int
	closed  bool
	ending  sync.WaitGroup // code of users' that closes objects
	dying   []*object      // without references, to be removed
	sweeps  bool           // a goroutine is sweeping
	left    map[bool]int   // bytes of functions still running for clients that are gone, by whether these were far
	lingers lingering
	turns   turns
	x       exec
	acts    *Client // the client for which the Store is acting, or nil
	stale   bool    // levels may be higher than necessary
	edges   int     // pairs of an object and one that it contains
	now     func() time.Time
}

// Functions are what users have registered.
type Functions interface {
	// Change returns what makes a new value of an old one. Remove says that there is to be
	// none.
	Change(name string, shape uint64) (func(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error), error)
	// Make returns what makes an object of the user's own type, with a method table.
	Make(name string, shape uint64) (func(ctx context.Context, arg []byte) (any, error), error)
	// Method returns what a method of an object does.
	Method(object any, name string, shape uint64) (func(ctx context.Context, arg []byte) ([]byte, error), error)
	// Taken is told when the store has taken what one of these has returned, or does not need it.
	Taken(value []byte)
}

// NewID returns a number that no other manager has.
func NewID() (id ID) {
	_, _ = rand.Read(id[:])
	return id
}

// New makes a Store. What a dead client has sent on lingers for a time, so that whoever it was
// sent to finds it.
func New(id ID, limits Limits, functions Functions, linger time.Duration) *Store {
	return &Store{id: id, limits: limits, functions: functions, linger: linger, now: time.Now,
		number: randomNumber, objects: map[uint64]*object{}, names: map[string]*object{}, clients: map[*Client]bool{}, left: map[bool]int{}, turns: turns{}}
}

// ID is the number of the manager.
func (s *Store) ID() ID { return s.id }

// object is what clients have proxies of.
type object struct {
	id    uint64
	kind  Kind
	shape uint64 // of the types in it
	refs  int    // of clients, of values that it is in, and of its name
	name  string
	gone  bool
	body  body

	lingers  *list.Element // see linger
	level    int           // see contain
	contains map[uint64]int
	most     int // peak of len(contains)
}

// body is what an object is.
type body interface {
	// leave lets go of what a client has of it that is no more.
	leave(s *Store, o *object, c *Client)
	// empty gives up all values in it, and answers who waits.
	empty(s *Store, o *object)
}

// value is what a user has put somewhere, and the objects that are in it.
type value struct {
	b    []byte
	refs []uint64
}

// keep makes a value in o of bytes, which are copied into old if that has room. Nothing is changed if
// there is an error.
func (s *Store) keep(o *object, b []byte, old value) (value, error) {
	refs := s.refsIn(b)
	v := value{old.b[:0], refs}
	if !old.holds(len(b)) || s.room(v.size()-old.size()) != nil {
		v.b = nil
	}
	size := v.size()
	if v.b == nil {
		size = valueSize + len(b) + refSize*len(refs)
	}
	if err := s.room(size - old.size()); err != nil {
		return value{}, err
	}
	if err := s.contain(o, refs); err != nil {
		return value{}, err
	}

	s.drop(o, old)
	s.bytes += size
	if v.b == nil {
		v.b = make([]byte, 0, len(b))
	}
	v.b = append(v.b, b...)
	return v, nil
}

// drop gives a value in o up.
func (s *Store) drop(o *object, v value) {
	s.bytes -= v.size()
	s.release(o, v.refs)
}

// holds reports whether n bytes fit into the memory of a value, without wasting most of it.
func (v *value) holds(n int) bool {
	c := cap(v.b)
	return v.b != nil && c >= n && c <= 2*n+valueSize
}

// size is what a value counts for; 0 for none.
func (v value) size() int {
	if v.b == nil {
		return 0
	}
	return cap(v.b) + valueSize + refSize*len(v.refs)
}

// show tells a client of the objects in what it is about to get.
func (s *Store) show(c *Client, v value) {
	for _, id := range v.refs {
		s.give(c, id)
	}
}

// Stats are counts of a moment.
type Stats struct {
	Clients, Objects, Bytes, Waiting, WaitingBytes int
}

// Stats counts.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count()
}

func (s *Store) count() Stats {
	st := Stats{Clients: len(s.clients), Objects: len(s.objects), Bytes: s.bytes, WaitingBytes: s.left[true] + s.left[false]}
	for c := range s.clients {
		st.Waiting += len(c.calls)
		st.WaitingBytes += c.waiting + holdSize*len(c.holds)
	}
	return st
}

// Close ends all calls and gives up all objects.
func (s *Store) Close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.clients {
		for _, p := range c.calls {
			if p.cancel != nil {
				p.cancel()
			}
			s.answer(p, err, nil)
		}
	}
	for _, o := range s.objects {
		if !o.gone {
			s.remove(o)
		}
	}
	s.dying = nil
	s.lingers.stop()
}

// Wait waits for the end of what Close has begun.
func (s *Store) Wait() { s.ending.Wait() }
