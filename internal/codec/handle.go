package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// A Handle stands for something that processes share. Decoding a pointer to a type of
// handles gives the pointer that Canonical returns: the same in this process for the
// same thing.
type Handle interface {
	Canonical() any
	// Give is called when a value with the handle has become the result of a task,
	// and Take when it has arrived as one; Refuse when it was an argument.
	// Given is called before Give: it returns what is needed to end what the receiver is given, of a
	// ticket's length; nil if that stays its owner's.
	Given() (ticket []byte, err error)
	Give()
	Take()
	Refuse()
}

// A Mover is a Handle of what only one process has at a time: it goes over to the
// receiver of the value in which it is encoded.
type Mover interface {
	Handle
	// Depart is called before a value with the handle is encoded. ForGood says that the
	// sender may be dead when it is received.
	Depart(forGood bool) error
	// Return is called when the value was not sent after all, and does nothing if it was
	// received or Depart has failed.
	Return()
	// Settle is called when the value was sent, whatever becomes of the sender from then on.
	Settle()
	// Lose is called when it may have been sent, and nobody will receive it any more.
	Lose()
	// Ticket is what is needed to take what has departed: of one length for all.
	Ticket() ([]byte, error)
}

// A Receipt lists what a result has given to this process. As long as nobody has the result, only its receipt can
// close that.
type Receipt interface {
	// Lose closes it.
	Lose()
	// LoseUnreachable closes it when the result is no longer reachable, except for what another result, which
	// somebody has, has brought along too.
	LoseUnreachable()
}

// Objects tells this package of the types that stand for something that processes share.
type Objects struct {
	// IsHandle and IsMover tell which types are handles, and movers, by a pointer to them. They have a binary form.
	IsHandle, IsMover func(pointer reflect.Type) bool

	// HandleOf returns the handle that a pointer leads to, nil if no constructor has made it.
	HandleOf func(pointer any) Handle

	// Travelling are the handle types that travel in interfaces without having been registered. They are asked for
	// when a value with an interface is met for the first time, so they cost the others nothing.
	Travelling func() []reflect.Type

	// TicketSize is how long a ticket is.
	TicketSize int

	// NotHere returns the tickets of what this process does not have before a value is decoded, and of all that
	// several processes can have at a time. NewHere leaves those of the latter out that this process has.
	NotHere, NewHere func(tickets []byte) []byte

	// Lose ends what a ticket is of if the value cannot be decoded, whether that has arrived by then or not.
	Lose func(ticket []byte)

	// Receipt returns the receipt of a result that has arrived with tickets that were new here.
	Receipt func(tickets []byte) Receipt
}

// objects is empty in a program in which processes share nothing.
var objects Objects

// RegisterObjects says what processes share. It is called at most once, before any codec is made.
func RegisterObjects(o Objects) { objects = o }

// NewReceipt returns the receipt of a result that has arrived, of the tickets that [Type.Given] returned before.
func NewReceipt(tickets []byte) Receipt { return objects.Receipt(tickets) }

func isHandle(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && objects.IsHandle != nil && objects.IsHandle(reflect.PointerTo(t))
}

var registerBuiltin = sync.OnceFunc(func() {
	types := []reflect.Type{filePointer}
	if objects.Travelling != nil {
		types = append(types, objects.Travelling()...)
	}
	for _, t := range types {
		if registered.add(t) == nil { // the user may have done so
			registered.mu.Lock()
			registered.builtin[t] = true
			registered.mu.Unlock()
		}
	}
})

var holders sync.Map // of reflect.Type to bool

// holds reports whether values of t can have handles in them.
func holds(t reflect.Type) bool {
	if yes, ok := holders.Load(t); ok {
		return yes.(bool)
	}
	yes := search(t, map[reflect.Type]bool{}, func(t reflect.Type) bool { return isHandle(t) || t.Kind() == reflect.Interface })
	holders.Store(t, yes)
	return yes
}

// moves reports whether values of t, which holds handles, can have movers in them.
func moves(t reflect.Type) bool {
	return search(t, map[reflect.Type]bool{}, func(t reflect.Type) bool {
		return isHandle(t) && objects.IsMover(reflect.PointerTo(t)) || t.Kind() == reflect.Interface
	})
}

// search reports whether found holds for t or a type of which values lie in one of t.
func search(t reflect.Type, seen map[reflect.Type]bool, found func(reflect.Type) bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if found(t) {
		return true
	}
	if hasOwnForm(t) || t == fileType {
		return false
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return search(t.Elem(), seen, found)
	case reflect.Struct:
		for f := range t.Fields() {
			if search(f.Type, seen, found) {
				return true
			}
		}
	}
	return false
}

// convey makes handles change hands with the values they are in: those of a result go over
// to the receiver, those of an argument or a message stay the sender's, but for movers.
func (c *Type[T]) convey(r role) {
	encode, decode := c.append, c.decode
	c.append = func(buf []byte, v *T) (out []byte, err error) {
		// A message may never be sent: until it is, what is in it ends with the sender.
		if err := c.depart(v, r == result); err != nil {
			return buf, err
		}
		if out, err = encode(buf, v); err == nil && c.tickets {
			if out, err = c.appendTickets(out, v, r); err != nil {
				transport.forget(c.FilesOf(out[len(buf):]))
				out = buf
			}
		}
		if err != nil {
			c.Recall(v)
		} else if r == result {
			each(reflect.ValueOf(v).Elem(), Handle.Give)
		}
		return out, err
	}
	received := Handle.Refuse
	if r == result {
		received = Handle.Take
	}
	c.decode = func(data []byte, v *T) error {
		var tickets []byte
		var err error
		if c.tickets {
			data, tickets, err = splitTickets(data)
			if len(tickets) > 0 {
				tickets = objects.NotHere(tickets)
			}
		}
		if err == nil {
			err = decode(data, v)
		}
		if err != nil {
			*v = *new(T) // it may have in it what is lost now
			loseAll(tickets)
			return err
		}
		each(reflect.ValueOf(v).Elem(), received)
		return nil
	}
}

func loseAll(tickets []byte) {
	for ; len(tickets) > 0; tickets = tickets[objects.TicketSize:] {
		objects.Lose(tickets[:objects.TicketSize])
	}
}

// Lose gives back what an encoded value brings along that nobody will receive, or that was of no
// use to its receiver.
func (c *Type[T]) Lose(data []byte) {
	if c.tickets {
		_, tickets, _ := splitTickets(data)
		loseAll(tickets)
	}
	if c.files {
		transport.lose(c.FilesOf(data))
	}
}

// Given returns the tickets of what a result, which is not decoded yet, gives to this process.
func (c *Type[T]) Given(data []byte) []byte {
	if !c.tickets {
		return nil
	}
	_, tickets, _ := splitTickets(data)
	return objects.NewHere(tickets)
}

// An argument or a result that may have movers in it ends with their tickets, how many these are,
// in four bytes, and a byte that says so; or with one that says that there are none. A result has
// those of the handles that it gives, too. A message has them elsewhere, since it may be lost without
// being decoded.
const (
	mostTickets = 1 << 18 // a corrupt process may list any number, and each costs a question
	noTickets   = 0
	someTickets = 1
	ticketsTail = 5
)

var errNoTickets = errors.New("no list of what moves behind the value")

func (c *Type[T]) appendTickets(out []byte, v *T, r role) (_ []byte, err error) {
	n := uint32(0)
	each(reflect.ValueOf(v).Elem(), func(h Handle) {
		var ticket []byte
		bad := err
		if m, ok := h.(Mover); ok && bad == nil {
			ticket, bad = m.Ticket()
		} else if r == result && bad == nil {
			ticket, bad = h.Given()
		}
		if err = bad; len(ticket) > 0 {
			out = append(out, ticket...)
			n++
		}
	})
	if n > mostTickets && err == nil {
		err = fmt.Errorf("%d objects in one value: at most %d", n, mostTickets)
	}
	if n == 0 || err != nil {
		return append(out, noTickets), err
	}
	return append(binary.LittleEndian.AppendUint32(out, n), someTickets), nil
}

// splitTickets returns an encoded value, which may be anything, without its tickets, and these.
func splitTickets(data []byte) (value, tickets []byte, err error) {
	last := len(data) - 1
	switch {
	case last >= 0 && data[last] == noTickets:
		return data[:last], nil, nil
	case last >= ticketsTail-1 && data[last] == someTickets:
		end := len(data) - ticketsTail
		n := int(binary.LittleEndian.Uint32(data[end:]))
		if at := end - n*objects.TicketSize; objects.TicketSize > 0 && n > 0 && n <= mostTickets && at >= 0 {
			return data[:at], data[at:end], nil
		}
	}
	return nil, nil, errNoTickets
}

// depart lets all movers in a value depart, or none.
func (c *Type[T]) depart(v *T, forGood bool) error {
	movers := c.Movers(v)
	for i, m := range movers {
		if err := m.Depart(forGood); err != nil {
			for _, m := range movers[:i] {
				m.Return()
			}
			return err
		}
	}
	return nil
}

// Recall takes back the movers in a value that was encoded and is not sent after all.
func (c *Type[T]) Recall(v *T) {
	for _, m := range c.Movers(v) {
		m.Return()
	}
}

// Settle says that a value that was encoded has been sent.
func (c *Type[T]) Settle(v *T) {
	for _, m := range c.Movers(v) {
		m.Settle()
	}
}

// Movers returns the movers in a value.
func (c *Type[T]) Movers(v *T) (movers []Mover) {
	if c.moves {
		each(reflect.ValueOf(v).Elem(), func(h Handle) {
			if m, ok := h.(Mover); ok {
				movers = append(movers, m)
			}
		})
	}
	return movers
}

// Moves reports whether values can have movers in them.
func (c *Type[T]) Moves() bool { return c.moves }

// Attached returns the handles in a value.
func (c *Type[T]) Attached(v *T) (handles []Handle) {
	if c.holds {
		each(reflect.ValueOf(v).Elem(), func(h Handle) { handles = append(handles, h) })
	}
	return handles
}

// Carries reports whether values can have handles or files in them.
func (c *Type[T]) Carries() bool { return c.holds || c.files }

// each calls f for the handles in a value, down to where encoding calls it too deep: it
// may be cyclic.
func each(v reflect.Value, f func(Handle)) { eachTo(v, 0, f) }

// eachTo is each, and false if the value is too deep.
func eachTo(v reflect.Value, depth int, f func(Handle)) bool {
	if depth > maxDepth {
		return false
	}
	if !holds(v.Type()) {
		return true
	}
	if isHandle(v.Type()) {
		if h := handleAt(v); h != nil {
			f(h)
		}
		return true
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil() || eachTo(v.Elem(), depth+1, f)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !eachTo(v.Index(i), depth+1, f) {
				return false
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if !eachTo(it.Value(), depth+1, f) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !eachTo(v.Field(i), depth+1, f) {
				return false
			}
		}
	}
	return true
}

// handleAt is the handle that v is; nil if nobody has made it.
func handleAt(v reflect.Value) Handle {
	switch {
	case v.CanAddr() && v.Addr().CanInterface():
		return objects.HandleOf(v.Addr().Interface())
	case v.CanInterface():
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		return objects.HandleOf(p.Interface())
	}
	return nil
}
