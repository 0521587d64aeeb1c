package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// A Handle represents an object that processes share. Decoding a pointer to a handle type yields
// the pointer that Canonical returns, which is the same within a process for the same object.
type Handle interface {
	// Canonical returns this process's pointer for the object.
	Canonical() any

	// Given is called before Give. It returns the ticket with which the object that the receiver
	// gets can be ended, or nil if the object stays with its owner.
	Given() (ticket []byte, err error)

	// Give is called when a value that contains the handle has become the result of a task.
	Give()

	// Take is called when the value has arrived as a result.
	Take()

	// Refuse is called when the value has arrived as an argument or as a message.
	Refuse()
}

// A Mover is a Handle to an object that only one process has at a time. The object moves to the
// receiver of the value that contains the handle.
type Mover interface {
	Handle

	// Depart is called before a value that contains the handle is encoded. forGood says that the
	// sender may be dead when the value is received.
	Depart(forGood bool) error

	// Return is called when the value was not sent. It does nothing if the value was received or if
	// Depart failed.
	Return()

	// Settle is called when the value was sent. From then on the sender's death no longer matters.
	Settle()

	// Lose is called when the value may have been sent but no process will receive it.
	Lose()

	// Ticket returns the data with which a receiver can take the object. All tickets have the same
	// length.
	Ticket() ([]byte, error)
}

// A Receipt lists the objects that a result has given to this process. While no code has the
// result, only its receipt can close these objects.
type Receipt interface {
	// Lose closes the objects.
	Lose()

	// LoseUnreachable closes the objects when the result is no longer reachable, except for objects
	// that another, reachable result contains too.
	LoseUnreachable()
}

// Objects tells this package about the types that represent objects that processes share.
type Objects struct {
	// IsHandle and IsMover report, given a pointer type, whether its element is a handle type or a
	// mover type. These types have a binary form.
	IsHandle, IsMover func(pointer reflect.Type) bool

	// IsDerived reports, given a pointer type, whether its element is not a handle type but has a
	// handle type's methods, because it embeds one or is defined as one.
	IsDerived func(pointer reflect.Type) bool

	// HandleOf returns the handle that a pointer leads to, or nil if no constructor has created it.
	HandleOf func(pointer any) Handle

	// Travelling returns the handle types that may be sent in interfaces without being registered.
	// It is called when a value with an interface is first encoded or decoded, so it costs other
	// programs nothing.
	Travelling func() []reflect.Type

	// TicketSize is the length of a ticket.
	TicketSize int

	// NotHere is called before a value is decoded. It returns the tickets of objects that this
	// process does not have, and those of all objects that several processes can have at a time.
	// NewHere is like NotHere, but leaves out objects of the latter kind that this process has.
	NotHere, NewHere func(tickets []byte) []byte

	// Lose ends the object of a ticket if the value cannot be decoded, whether or not the object
	// has arrived by then.
	Lose func(ticket []byte)

	// Receipt returns the receipt of a result that arrived with tickets that were new here.
	Receipt func(tickets []byte) Receipt
}

// objects is the zero value in a program whose processes share nothing.
var objects Objects

// RegisterObjects sets the functions for shared objects. It must be called at most once, before any
// codec is created.
func RegisterObjects(o Objects) { objects = o }

// NewReceipt returns the receipt of a result that has arrived, given the tickets that [Type.Given]
// returned before.
func NewReceipt(tickets []byte) Receipt { return objects.Receipt(tickets) }

func isHandle(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && objects.IsHandle != nil && objects.IsHandle(reflect.PointerTo(t))
}

func isDerived(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && objects.IsDerived != nil && objects.IsDerived(reflect.PointerTo(t))
}

var registerBuiltin = sync.OnceFunc(func() {
	types := []reflect.Type{filePointer}
	if objects.Travelling != nil {
		types = append(types, objects.Travelling()...)
	}
	for _, t := range types {
		if registered.add(t) == nil { // the user may have registered it
			registered.mu.Lock()
			registered.builtin[t] = true
			registered.mu.Unlock()
		}
	}
})

var holders sync.Map // of reflect.Type to bool

// holds reports whether values of t may contain handles.
func holds(t reflect.Type) bool {
	if yes, ok := holders.Load(t); ok {
		return yes.(bool)
	}
	yes := search(t, map[reflect.Type]bool{}, func(t reflect.Type) bool { return isHandle(t) || t.Kind() == reflect.Interface })
	holders.Store(t, yes)
	return yes
}

// moves reports whether values of t, which may contain handles, may contain movers.
func moves(t reflect.Type) bool {
	return search(t, map[reflect.Type]bool{}, func(t reflect.Type) bool {
		return isHandle(t) && objects.IsMover(reflect.PointerTo(t)) || t.Kind() == reflect.Interface
	})
}

// search reports whether found returns true for t or for a type whose values lie in values of t.
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

// convey transfers handles with the values that contain them. The handles of a result pass to the
// receiver. The handles of an argument or a message stay with the sender, except for movers.
func (c *Type[T]) convey(r role) {
	encode, decode := c.append, c.decode
	c.append = func(buf []byte, v *T) (out []byte, err error) {
		// A message may never be sent. Until it is, the objects in it end with the sender.
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
			*v = *new(T) // *v may contain objects that are lost now
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

// Lose releases the objects and files of an encoded value that no process will receive, or that was
// of no use to its receiver.
func (c *Type[T]) Lose(data []byte) {
	if c.tickets {
		_, tickets, _ := splitTickets(data)
		loseAll(tickets)
	}
	if c.files {
		transport.lose(c.FilesOf(data))
	}
}

// Given returns the tickets of the objects that a result, which has not been decoded yet, gives to
// this process.
func (c *Type[T]) Given(data []byte) []byte {
	if !c.tickets {
		return nil
	}
	_, tickets, _ := splitTickets(data)
	return objects.NewHere(tickets)
}

// The encoding of an argument or a result that may contain movers ends with their tickets, the
// number of tickets in four bytes, and the byte someTickets. If there are no tickets, the encoding
// ends with the byte noTickets. A result also has the tickets of the handles that it gives. The
// tickets of a message are elsewhere, because a message may be lost without being decoded.
const (
	maxTickets  = 1 << 18 // a corrupt process may list any number, and each costs a request
	noTickets   = 0
	someTickets = 1
	ticketsTail = 5
)

var errNoTickets = errors.New("no list of what moves behind the value")

// appendTickets appends the tickets of the objects in *v, and their number.
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

	if n > maxTickets && err == nil {
		err = fmt.Errorf("%d objects in one value: at most %d", n, maxTickets)
	}
	if n == 0 || err != nil {
		return append(out, noTickets), err
	}
	return append(binary.LittleEndian.AppendUint32(out, n), someTickets), nil
}

// splitTickets separates an encoded value from its tickets. data may be anything.
func splitTickets(data []byte) (value, tickets []byte, err error) {
	last := len(data) - 1
	switch {
	case last >= 0 && data[last] == noTickets:
		return data[:last], nil, nil
	case last >= ticketsTail-1 && data[last] == someTickets:
		end := len(data) - ticketsTail
		n := int(binary.LittleEndian.Uint32(data[end:]))
		if at := end - n*objects.TicketSize; objects.TicketSize > 0 && n > 0 && n <= maxTickets && at >= 0 {
			return data[:at], data[at:end], nil
		}
	}
	return nil, nil, errNoTickets
}

// depart calls Depart of all movers in a value. If one of the calls fails, depart takes the other
// movers back.
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

// Recall takes back the movers in a value that was encoded but not sent.
func (c *Type[T]) Recall(v *T) {
	for _, m := range c.Movers(v) {
		m.Return()
	}
}

// Settle tells the movers in an encoded value that the value was sent.
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

// Moves reports whether values may contain movers.
func (c *Type[T]) Moves() bool { return c.moves }

// Attached returns the handles in a value.
func (c *Type[T]) Attached(v *T) (handles []Handle) {
	if c.holds {
		each(reflect.ValueOf(v).Elem(), func(h Handle) { handles = append(handles, h) })
	}
	return handles
}

// Carries reports whether values may contain handles or files.
func (c *Type[T]) Carries() bool { return c.holds || c.files }

// each calls f for the handles in a value, down to the depth at which encoding fails. The value may
// be cyclic.
func each(v reflect.Value, f func(Handle)) { eachTo(v, 0, f) }

// eachTo is like each, but returns false if the value is too deep.
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

// handleAt returns the handle that v is, or nil if no constructor has created it.
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
