package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/broker"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// What a message needs that lies in an object, a queue for instance, lives until somebody
// has got the message, though the process that sent it may have died by then: the broker
// keeps it for the segment in which the message lies, the carrier.

// Carry lets the memory of an object live until Uncarry is called with the number that
// is returned. That is 0 if nothing need be done: it was made by the root process, with which
// all others end.
func (o *Object) Carry(what *Object) (id uint64, err error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if what.seg == o.seg || what.rooted() {
		return 0, nil
	}
	return what.seg.id, h.keepOf(o.seg, what.seg, broker.Counted)
}

// CarryHeld is Carry for a Held, and for the memory that its first note names. Both need no Uncarry:
// they live until the object ends, or until the Held is free though its maker is dead.
func (o *Object) CarryHeld(held, data *Object) error {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range []*Object{held, data} {
		if what.seg == o.seg || what.rooted() {
			continue
		}
		if err := h.keepOf(o.seg, what.seg, broker.Held); err != nil {
			return err
		}
	}
	return nil
}

// rooted reports whether the root process has made it, and this is that.
func (o *Object) rooted() bool { return o.seg.made && isRoot() }

// keepOf has a segment kept for a carrier; under the lock.
func (h *heap) keepOf(carrier, s *segment, how broker.Keeping) error {
	if err := h.publish(s); err != nil {
		return err
	}
	return h.keep(carrier, s.id, how)
}

// keep is keepOf for a segment that is published; under the lock.
func (h *heap) keep(carrier *segment, id uint64, how broker.Keeping) error {
	if carrier.gone.Load() {
		return errs.ErrClosed
	}
	if err := h.publish(carrier); err != nil {
		return err
	}
	return h.dir.Keep(carrier.id, id, how)
}

// CarryFile is Carry for a file that was sent. If nothing comes of it, ForgetFiles is to
// be called.
func (o *Object) CarryFile(id uint64) error {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir == nil {
		return broker.ErrGone
	}
	return h.keep(o.seg, id, broker.Message)
}

// Uncarry is the counterpart of Carry and CarryFile. With end what was carried was only for
// the message.
func (o *Object) Uncarry(id uint64, end bool) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir != nil {
		h.dir.Release(o.seg.id, id, end)
	}
}

// Spill puts a message that is too large for the object elsewhere, and returns its place.
func (o *Object) Spill(b []byte) (place []byte, err error) {
	fd, err := shm.Store("mp-message", b)
	if err != nil {
		return nil, fmt.Errorf("mp: %d bytes: %w", len(b), err)
	}
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.newID()
	if err := h.dir.Publish(id, fd, len(b), false); err != nil {
		shm.CloseFD(fd)
		return nil, err
	}
	spills.add(id)
	if err := h.keep(o.seg, id, broker.Message); err != nil {
		spills.end(id)
		h.dir.Destroy(id)
		return nil, err
	}
	place = binary.LittleEndian.AppendUint64(make([]byte, 0, xsync.SpillSize), id)
	place = binary.LittleEndian.AppendUint64(place, uint64(len(b)))
	return append(place, make([]byte, xsync.SpillSize-len(place))...), nil
}

// spills are the messages that this process has put elsewhere and that have not ended. The broker says when they end;
// no receiver can.
var spills = spillSet{ids: map[uint64]struct{}{}}

type spillSet struct {
	mu  sync.Mutex // a process that holds it waits for nothing
	ids map[uint64]struct{}
}

func (s *spillSet) add(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[id] = struct{}{}
}

// end reports whether a segment was a message that had not ended.
func (s *spillSet) end(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.ids[id]
	delete(s.ids, id)
	return there
}

// SpillEnded reports whether the message at a place, where this process has put it, has ended. It asks no other process.
func SpillEnded(place []byte) bool {
	spills.mu.Lock()
	defer spills.mu.Unlock()
	_, there := spills.ids[binary.LittleEndian.Uint64(place)]
	return !there
}

// EndSpill ends a message that this process has put elsewhere, whether or not it has been received.
func EndSpill(place []byte) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if id := binary.LittleEndian.Uint64(place); spills.end(id) && h.dir != nil {
		h.dir.Destroy(id)
		h.end()
	}
}

// ErrTooLong is returned for a message above the receiver's limit.
var ErrTooLong = errors.New("mp: longer than the limit")

// Unspill appends the message at a place to buf and ends the message. For a message of more than most bytes
// it returns ErrTooLong. It calls goOn now and then while it reads, and gives up with its error.
func (o *Object) Unspill(place, buf []byte, most int, goOn func() error) ([]byte, error) {
	id, size := binary.LittleEndian.Uint64(place), binary.LittleEndian.Uint64(place[8:])
	h := &here
	h.mu.Lock()
	if h.dir == nil {
		h.mu.Unlock()
		return buf, errs.ErrClosed
	}
	f, err := h.dir.Fetch(id)
	dir := h.dir
	h.mu.Unlock()
	if err != nil {
		dir.Release(o.seg.id, id, true) // it is lost: its sender need not wait for that
		return buf, err
	}
	defer dir.Drop(id) // a segment that was not kept for this message stays its publisher's
	defer dir.Release(o.seg.id, id, true)
	defer shm.CloseFD(f.FD)
	switch {
	case uint64(f.Size) != size:
		return buf, broker.ErrGone
	case f.Size > most:
		return buf, fmt.Errorf("%w: %d bytes, and the limit is %d", ErrTooLong, f.Size, most)
	}
	return shm.Load(f.FD, buf, f.Size, goOn)
}

// DropSpilled ends a message that has a place.
func (o *Object) DropSpilled(place []byte) {
	o.Uncarry(binary.LittleEndian.Uint64(place), true)
}
