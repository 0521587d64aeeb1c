package objects

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A message in an object, such as a queue, may need other memory or files. These must live until a
// process has received the message, even if the sender has died by then. The broker therefore keeps
// them for the segment that contains the message, the carrier.

// Carry keeps the memory of the object what alive until Uncarry is called with the returned id. The
// id is 0 if nothing needs to be done because the root process created the memory: all other
// processes end with the root process.
func (o *Object) Carry(what *Object) (id uint64, err error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if what.seg == o.seg || what.rooted() {
		return 0, nil
	}
	return what.seg.id, h.keepOf(o.seg, what.seg, segments.Counted)
}

// CarryOwned is like Carry, but for an Ownership and for the memory that its first note names.
// Neither needs an Uncarry: both live until the object ends, or until the Ownership is free and its
// creator is dead.
func (o *Object) CarryOwned(held, data *Object) error {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range []*Object{held, data} {
		if what.seg == o.seg || what.rooted() {
			continue
		}
		if err := h.keepOf(o.seg, what.seg, segments.Owned); err != nil {
			return err
		}
	}
	return nil
}

// rooted reports whether this process created the object and is the root process.
func (o *Object) rooted() bool { return o.seg.own && isRoot() }

// keepOf keeps a segment alive for a carrier. The caller must hold h.mu.
func (h *heap) keepOf(carrier, s *segment, how segments.Keeping) error {
	if err := h.publish(s); err != nil {
		return err
	}
	return h.keep(carrier, s.id, how)
}

// keep is like keepOf, but for a segment that is published. The caller must hold h.mu.
func (h *heap) keep(carrier *segment, id uint64, how segments.Keeping) error {
	if carrier.gone.Load() {
		return errs.ErrClosed
	}
	if err := h.publish(carrier); err != nil {
		return err
	}
	return h.dir.Keep(carrier.id, id, how)
}

// CarryFile is like Carry, but for a file that was sent. If it fails, the caller must call
// ForgetFiles.
func (o *Object) CarryFile(id uint64) error {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir == nil {
		return segments.ErrGone
	}
	return h.keep(o.seg, id, segments.Message)
}

// Uncarry undoes Carry and CarryFile. If end is set, what was carried existed only for the message
// and ends with it.
func (o *Object) Uncarry(id uint64, end bool) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir != nil {
		h.dir.Release(o.seg.id, id, end)
	}
}

// Spill stores a message that does not fit into the object in a segment of its own, and returns the
// message's place.
func (o *Object) Spill(b []byte) (ref []byte, err error) {
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
	if err := h.keep(o.seg, id, segments.Message); err != nil {
		spills.end(id)
		h.dir.Destroy(id)
		return nil, err
	}

	ref = binary.LittleEndian.AppendUint64(make([]byte, 0, xsync.SpillSize), id)
	ref = binary.LittleEndian.AppendUint64(ref, uint64(len(b)))
	return append(ref, make([]byte, xsync.SpillSize-len(ref))...), nil
}

// spills contains the messages that this process has spilled and that have not ended. The broker
// says when they end; no receiver can.
var spills = spillSet{ids: map[uint64]struct{}{}}

type spillSet struct {
	mu  sync.Mutex // never held while waiting
	ids map[uint64]struct{}
}

func (s *spillSet) add(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[id] = struct{}{}
}

// end reports whether a segment was a message that had not ended, and forgets the message.
func (s *spillSet) end(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.ids[id]
	delete(s.ids, id)
	return there
}

// SpillEnded reports whether a message that this process has spilled has ended. It asks no other
// process.
func SpillEnded(ref []byte) bool {
	spills.mu.Lock()
	defer spills.mu.Unlock()
	_, there := spills.ids[binary.LittleEndian.Uint64(ref)]
	return !there
}

// EndSpill ends a message that this process has spilled, whether or not it has been received.
func EndSpill(ref []byte) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if id := binary.LittleEndian.Uint64(ref); spills.end(id) && h.dir != nil {
		h.dir.Destroy(id)
		h.end()
	}
}

// ErrTooLong is returned for a message that is longer than the receiver's limit.
var ErrTooLong = errors.New("mp: longer than the limit")

// Unspill appends the message at ref to buf and ends the message. It returns ErrTooLong for a
// message of more than most bytes. While it reads, it calls goOn now and then; if goOn returns an
// error, Unspill stops and returns that error.
func (o *Object) Unspill(ref, buf []byte, most int, goOn func() error) ([]byte, error) {
	id, size := binary.LittleEndian.Uint64(ref), binary.LittleEndian.Uint64(ref[8:])

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
		dir.Release(o.seg.id, id, true) // the message is lost; its sender need not wait for the end
		return buf, err
	}

	defer dir.Drop(id) // a segment not kept for this message still belongs to its publisher
	defer dir.Release(o.seg.id, id, true)
	defer shm.CloseFD(f.FD)

	switch {
	case uint64(f.Size) != size:
		return buf, segments.ErrGone
	case f.Size > most:
		return buf, fmt.Errorf("%w: %d bytes, and the limit is %d", ErrTooLong, f.Size, most)
	}
	return shm.Load(f.FD, buf, f.Size, goOn)
}

// DropSpilled ends a spilled message without reading it.
func (o *Object) DropSpilled(ref []byte) {
	o.Uncarry(binary.LittleEndian.Uint64(ref), true)
}
