package ipc

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// envelope turns values into messages that lie in a shared object until somebody gets them,
// and back. What a value brings along, files and memory of objects, lives as long as its
// message, whatever becomes of the sender.
type envelope[T any] struct {
	codec *codec.Type[T]
	in    *share.Object
}

// A message of a type that can bring something along begins with how many segments it needs,
// a byte, and their numbers. One that can have ends of connections in it ends with their tickets,
// and how many these are.
const mostCarried = 255

var (
	errBadMessage = errors.New("mp: no message that mp has written")
	errTooMany    = errors.New("mp: more than 255 objects in one message")
)

// Numbers, which are copied as they lie in memory, stay on their callers' stacks: seal, open and
// recall give a copy of *v to what may keep a reference, and that is in the heap.

// seal appends the message with *v. A message that is not sent after all must be recalled.
func (e envelope[T]) seal(buf []byte, v *T) ([]byte, error) {
	if out, ok := e.codec.AppendPlain(buf, v); ok {
		return out, nil
	}
	kept := *v
	return e.sealAny(buf, &kept)
}

func (e envelope[T]) sealAny(buf []byte, v *T) ([]byte, error) {
	if !e.codec.Carries() {
		return e.codec.Append(buf, v)
	}
	if e.in == nil {
		return e.sealAlone(buf, v)
	}
	ids, err := e.carry(v)
	if err != nil {
		return buf, err
	}
	out := buf
	out = append(out, byte(len(ids)))
	for _, id := range ids {
		out = binary.LittleEndian.AppendUint64(out, id)
	}
	body := len(out)
	if out, err = e.codec.Append(out, v); err != nil {
		e.uncarry(ids, nil)
		return buf, err
	}
	if err = e.carryFiles(e.codec.FilesOf(out[body:])); err == nil {
		out, err = e.appendTickets(out, v)
	}
	if err != nil {
		e.codec.Recall(v)
		e.uncarry(ids, nil)
		return buf, err
	}
	return out, nil
}

var errFarAway = errors.New("mp: objects, files and ends of connections can only be sent within one tree of processes, not over a network")

// sealAlone is seal for messages that must not bring anything along.
func (e envelope[T]) sealAlone(buf []byte, v *T) ([]byte, error) {
	if len(e.codec.Attached(v)) > 0 {
		return buf, errFarAway
	}
	out, err := e.codec.Append(append(buf, 0), v)
	if err != nil {
		return buf, err
	}
	if files := e.codec.FilesOf(out[len(buf)+1:]); len(files) > 0 {
		share.ForgetFiles(files)
		return buf, errFarAway
	}
	if e.codec.Moves() {
		out = append(out, 0)
	}
	return out, nil
}

func (e envelope[T]) appendTickets(out []byte, v *T) ([]byte, error) {
	if !e.codec.Moves() {
		return out, nil
	}
	movers := e.codec.Movers(v)
	if len(movers) > mostCarried {
		return out, errTooMany
	}
	for _, m := range movers {
		t, err := m.Ticket()
		if err != nil {
			return out, err
		}
		out = append(out, t...)
	}
	return append(out, byte(len(movers))), nil
}

func (e envelope[T]) carry(v *T) (ids []uint64, err error) {
	for _, h := range e.codec.Attached(v) {
		id, err := h.(carried).carryIn(e.in)
		if id != 0 {
			ids = append(ids, id)
		}
		if err == nil && len(ids) > mostCarried {
			err = errTooMany
		}
		if err != nil {
			e.uncarry(ids, nil)
			return nil, err
		}
	}
	return ids, nil
}

// carried is implemented by all handles.
type carried interface {
	// carryIn lets the memory live while a message with the handle lies in an object, until the
	// number that is returned is given back; 0 if there is nothing to give back.
	carryIn(in *share.Object) (id uint64, err error)
}

// carryFiles has files kept, or forgets them all.
func (e envelope[T]) carryFiles(files []uint64) error {
	for i, id := range files {
		if err := e.in.CarryFile(id); err != nil {
			e.uncarry(nil, files[:i])
			share.ForgetFiles(files[i:])
			return err
		}
	}
	return nil
}

func (e envelope[T]) uncarry(objects, files []uint64) {
	if e.in == nil {
		return
	}
	for _, id := range objects {
		e.in.Uncarry(id, false)
	}
	for _, id := range files {
		e.in.Uncarry(id, true)
	}
}

// parts are those of a message.
type parts struct {
	ids     []uint64
	body    []byte
	tickets []byte
}

// parse takes a message apart, which anybody may have written.
func (e envelope[T]) parse(b []byte) (p parts, err error) {
	if !e.codec.Carries() {
		return parts{body: b}, nil
	}
	if len(b) == 0 || len(b)-1 < 8*int(b[0]) {
		return p, errBadMessage
	}
	n := int(b[0])
	for b = b[1:]; n > 0; n-- {
		p.ids = append(p.ids, binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if e.codec.Moves() {
		if len(b) == 0 || len(b)-1 < ticketSize*int(b[len(b)-1]) {
			return p, errBadMessage
		}
		last := len(b) - 1
		at := last - ticketSize*int(b[last])
		b, p.tickets = b[:at], b[at:last]
	}
	p.body = b
	return p, nil
}

// open sets *v from a message, which is used up.
func (e envelope[T]) open(b []byte, v *T) error {
	if e.codec.DecodePlain(b, v) {
		return nil
	}
	kept := *v
	err := e.openAny(b, &kept)
	*v = kept
	return err
}

func (e envelope[T]) openAny(b []byte, v *T) error {
	p, err := e.parse(b)
	if err != nil {
		return err
	}
	p.tickets = notHere(p.tickets)
	err = e.codec.Decode(p.body, v)
	if err != nil {
		p.lose()
	}
	e.uncarry(p.ids, e.codec.FilesOf(p.body))
	return err
}

// foresee makes known here what a message brings along that takes long to be met.
func (e envelope[T]) foresee(b []byte) {
	if !e.codec.Moves() {
		return
	}
	p, err := e.parse(b)
	if err != nil {
		return
	}
	for t := p.tickets; len(t) >= ticketSize; t = t[ticketSize:] {
		if head, _, err := parseTicket(t[:ticketSize]); err == nil {
			blocks.know(head)
		}
	}
}

// drop uses a message up that nobody will receive.
func (e envelope[T]) drop(b []byte) {
	if p, err := e.parse(b); err == nil {
		p.tickets = notHere(p.tickets)
		p.lose()
		e.uncarry(p.ids, e.codec.FilesOf(p.body))
	}
}

// lose closes the ends of connections, and frees the slabs, that nobody else has taken.
func (p parts) lose() {
	for t := p.tickets; len(t) >= ticketSize; t = t[ticketSize:] {
		loseTicket(t[:ticketSize])
	}
}

// recall uses a message up that was not sent, and takes back what departed with *v.
func (e envelope[T]) recall(b []byte, v *T) {
	kept := *v
	e.codec.Recall(&kept)
	if p, err := e.parse(b); err == nil {
		e.uncarry(p.ids, e.codec.FilesOf(p.body))
	}
}

// sent lets what departed with *v go for good, as its message has.
func (e envelope[T]) sent(v *T) {
	if e.codec.Moves() {
		kept := *v
		e.codec.Settle(&kept)
	}
}

// notHere returns the tickets of what this process does not have. A message may name what arrived with another
// one, if it was forged, or if it is received twice because a process has overwritten the queue: when it
// cannot be decoded, that must stay as it is.
func notHere(tickets []byte) []byte {
	var absent []byte
	some := false
	for at := 0; len(tickets)-at >= ticketSize; at += ticketSize {
		t := tickets[at : at+ticketSize]
		switch isHere := hasTicket(t); {
		case isHere && !some:
			absent, some = append(absent, tickets[:at]...), true
		case !isHere && some:
			absent = append(absent, t...)
		}
	}
	if some {
		return absent
	}
	return tickets
}

// hasTicket reports whether this process has what a ticket is of.
func hasTicket(ticket []byte) bool {
	switch share.KindOf(ticket) {
	case xsync.KindHeld:
		head, trip, err := parseTicket(ticket)
		return err == nil && blocks.has(head, trip)
	case xsync.KindPipe:
		return hasEnd(ticket)
	default:
		return false // loseObject knows
	}
}

// loseTicket closes the end of a connection, frees the slab, or ends the object that a ticket is of, if
// nobody has taken it, or it has arrived here with a value that could not be decoded as a whole.
func loseTicket(ticket []byte) {
	switch share.KindOf(ticket) {
	case xsync.KindHeld:
		if head, trip, err := parseTicket(ticket); err == nil {
			_ = loseBlock(head, trip)
		}
	case xsync.KindPipe:
		loseEnd(ticket)
	default:
		loseObject(ticket)
	}
}

// buffers are for messages on their way.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// mostPooled is how large a buffer may be that is used again.
const mostPooled = 4 << 20

func putBuffer(p *[]byte, b []byte) {
	if cap(b) <= mostPooled {
		*p = b[:0]
		buffers.Put(p)
	}
}
