// Package store holds the objects of a manager: their contents, the clients that use them, and the
// calls that wait for them. It does no I/O: requests come in through [Store.Do] and [Store.DoSoon],
// which also return answers that are ready at once. Later answers go out through a function of each
// client. One lock guards everything, so all changes happen in one order. No code waits or calls
// registered functions while it holds the lock.
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

// An ID identifies a manager. IDs are random, so a value that contains the bytes of an ID contains
// a proxy.
type ID [IDSize]byte

// Limits bounds what a Store holds; 0 means no limit.
type Limits struct {
	Objects int // live objects
	Bytes   int // of keys, values and names, including the memory needed to store them and to record who has them
	Calls   int // waiting and running calls of one client
	Waiting int // bytes of waiting and running calls of one client
	Nesting int // depth of objects in objects
}

// Errors of a Store.
var (
	ErrGone     = errors.New("manager: the object does not exist any more: keep a proxy of it, or give it a name")
	ErrLimit    = errors.New("manager: more than its Limits allow")
	ErrRange    = errors.New("manager: the index is out of range")
	ErrCanceled = errors.New("manager: the call was cancelled")

	errUnknownOp = errors.New("manager: no such operation of this kind of object")
)

// errLater is returned by an operation whose call is answered later.
var errLater = errors.New("later")

// Store is the content of a manager. It is safe for concurrent use.
type Store struct {
	id         ID
	limits     Limits
	functions  Functions
	lingerTime time.Duration

	mu      sync.Mutex
	objects map[uint64]*object
	names   map[string]*object
	clients map[*Client]bool
	number  func() uint64 // makes the ID of the next object
	bytes   int
	closed  bool
	ending  sync.WaitGroup // registered code that closes objects
	dying   []*object      // objects without references, which must be removed
	sweeps  bool           // whether a goroutine is sweeping
	left    map[bool]int   // bytes of functions still running for clients that are gone; the key tells whether the clients were far
	lingers lingering
	turns   turns
	x       exec
	acts    *Client // the client for which the Store is acting, or nil
	stale   bool    // whether levels may be higher than necessary
	edges   int     // number of pairs of an object and an object that it contains
	now     func() time.Time
}

// Functions is the set of registered functions.
type Functions interface {
	// Change returns a function that computes a new value from an old one. If that function returns
	// true for remove, the value is removed.
	Change(name string, shape uint64) (func(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error), error)
	// Make returns a function that makes an object of a registered type.
	Make(name string, shape uint64) (func(ctx context.Context, arg []byte) (any, error), error)
	// Method returns a function that calls a method of an object.
	Method(object any, name string, shape uint64) (func(ctx context.Context, arg []byte) ([]byte, error), error)
	// Taken is called when the store has stored a value that one of these functions returned, or
	// when the store does not need the value.
	Taken(value []byte)
}

// NewID returns an ID that no other manager has.
func NewID() (id ID) {
	_, _ = rand.Read(id[:])
	return id
}

// New makes a Store. If a client that dies has sent on proxies for an object, the object lives on
// for the time linger, so that the receivers still find it.
func New(id ID, limits Limits, functions Functions, linger time.Duration) *Store {
	return &Store{id: id, limits: limits, functions: functions, lingerTime: linger, now: time.Now,
		number: randomNumber, objects: map[uint64]*object{}, names: map[string]*object{}, clients: map[*Client]bool{}, left: map[bool]int{}, turns: turns{}}
}

// ID returns the manager's ID.
func (s *Store) ID() ID { return s.id }

// object is an object for which clients have proxies.
type object struct {
	id    uint64
	kind  Kind
	shape uint64 // of the types that it contains
	refs  int    // references: from clients, from values that contain it, and from its name
	name  string
	gone  bool
	body  body

	lingers  *list.Element // see lingering
	level    int           // see contain
	contains map[uint64]int
	most     int // peak of len(contains)
}

// body is the content of an object.
type body interface {
	// leave takes back whatever a client that is gone held of the object.
	leave(s *Store, o *object, c *Client)
	// empty drops all values in the object and answers all waiting calls.
	empty(s *Store, o *object)
}

// value is an encoded value, and the objects that it refers to.
type value struct {
	b    []byte
	refs []uint64
}

// keep makes a value in o from bytes. It copies the bytes into old's memory if they fit there. On
// error it changes nothing.
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

// drop drops a value that was in o.
func (s *Store) drop(o *object, v value) {
	s.bytes -= v.size()
	s.release(o, v.refs)
}

// holds reports whether n bytes fit into the memory of a value without wasting most of it.
func (v *value) holds(n int) bool {
	c := cap(v.b)
	return v.b != nil && c >= n && c <= 2*n+valueSize
}

// size returns the number of bytes that a value counts for; 0 if there is no value.
func (v value) size() int {
	if v.b == nil {
		return 0
	}
	return cap(v.b) + valueSize + refSize*len(v.refs)
}

// show notes that a client is told of the objects in a value that it is about to get.
func (s *Store) show(c *Client, v value) {
	for _, id := range v.refs {
		s.give(c, id)
	}
}

// Stats holds the counts of a Store at one moment.
type Stats struct {
	Clients, Objects, Bytes, Waiting, WaitingBytes int
}

// Stats returns the current counts.
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

// Close ends all calls and removes all objects.
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

// Wait waits until the objects that Close removed are closed.
func (s *Store) Wait() { s.ending.Wait() }
