package ipc

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// envelope encodes values as messages, which lie in a shared object until a process receives them,
// and decodes messages. Files and the memory of objects in a value live as long as the message,
// even if the sender dies.
type envelope[T any] struct {
	codec *codec.Type[T]
	in    *objects.Object
}

// A message of a type that can carry something begins with the number of segments that the message
// needs (one byte) and the segments' ids. A message of a type that can carry ends of connections or
// slabs ends with their tickets and the number of tickets (one byte).
const maxCarried = 255

var (
	errBadMessage = errors.New("mp: no message that mp has written")
	errTooMany    = errors.New("mp: more than 255 objects in one message")
)

// seal appends the message with *v to buf. If the message is not sent, the caller must call recall.
//
// Numbers are copied as they lie in memory and should stay on their callers' stacks. Therefore
// seal, open and recall pass a copy of *v, on the heap, to code that may keep a reference.
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

// sealAlone is like seal, but for messages that must not carry anything.
func (e envelope[T]) sealAlone(buf []byte, v *T) ([]byte, error) {
	if len(e.codec.Attached(v)) > 0 {
		return buf, errFarAway
	}
	out, err := e.codec.Append(append(buf, 0), v)
	if err != nil {
		return buf, err
	}

	if files := e.codec.FilesOf(out[len(buf)+1:]); len(files) > 0 {
		objects.ForgetFiles(files)
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
	if len(movers) > maxCarried {
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
		if err == nil && len(ids) > maxCarried {
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
	// carryIn keeps the handle's memory alive while a message with the handle lies in an object,
	// until uncarry is called with the returned id. The id is 0 if uncarry need not be called.
	carryIn(in *objects.Object) (id uint64, err error)
}

// carryFiles keeps all files alive, or forgets them all.
func (e envelope[T]) carryFiles(files []uint64) error {
	for i, id := range files {
		if err := e.in.CarryFile(id); err != nil {
			e.uncarry(nil, files[:i])
			objects.ForgetFiles(files[i:])
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

// parts are the parts of a message.
type parts struct {
	ids     []uint64
	body    []byte
	tickets []byte
}

// parse splits a message into its parts. Any process may have written the message.
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

// open decodes a message into *v and uses the message up.
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

// foresee attaches the part of a message's load that takes a long time to attach.
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

// drop uses up a message that no process will receive.
func (e envelope[T]) drop(b []byte) {
	if p, err := e.parse(b); err == nil {
		p.tickets = notHere(p.tickets)
		p.lose()
		e.uncarry(p.ids, e.codec.FilesOf(p.body))
	}
}

// lose closes the ends of connections and frees the slabs in a message that no other process has
// taken.
func (p parts) lose() {
	for t := p.tickets; len(t) >= ticketSize; t = t[ticketSize:] {
		loseTicket(t[:ticketSize])
	}
}

// recall uses up a message that was not sent, and takes back what was to move with *v.
func (e envelope[T]) recall(b []byte, v *T) {
	kept := *v
	e.codec.Recall(&kept)
	if p, err := e.parse(b); err == nil {
		e.uncarry(p.ids, e.codec.FilesOf(p.body))
	}
}

// sent lets what moves with *v stay on its way even if this process dies, since the message was
// sent.
func (e envelope[T]) sent(v *T) {
	if e.codec.Moves() {
		kept := *v
		e.codec.Settle(&kept)
	}
}

// notHere returns the tickets of things that this process does not have. A message may name
// something that arrived with another message, if the message was forged, or if it is received
// twice because a process has overwritten the queue. If that message cannot be decoded, what
// arrived earlier must stay as it is.
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

// hasTicket reports whether this process has the thing that a ticket names.
func hasTicket(ticket []byte) bool {
	switch objects.KindOf(ticket) {
	case xsync.KindOwnership:
		head, epoch, err := parseTicket(ticket)
		return err == nil && blocks.has(head, epoch)
	case xsync.KindPipe:
		return hasEnd(ticket)
	default:
		return false // loseObject handles it
	}
}

// loseTicket closes the end of a connection, frees the slab or ends the object that a ticket names,
// if no process has taken that, or if it arrived here with a value that could not be decoded.
func loseTicket(ticket []byte) {
	switch objects.KindOf(ticket) {
	case xsync.KindOwnership:
		if head, epoch, err := parseTicket(ticket); err == nil {
			_ = loseBlock(head, epoch)
		}
	case xsync.KindPipe:
		loseEnd(ticket)
	default:
		loseObject(ticket)
	}
}

// buffers hold messages while they are encoded and decoded.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled is the maximum size of a buffer that is kept for reuse.
const maxPooled = 4 << 20

func putBuffer(p *[]byte, b []byte) {
	if cap(b) <= maxPooled {
		*p = b[:0]
		buffers.Put(p)
	}
}
