package ipc

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// A Slab is a slice in shared memory that moves from process to process, for large payloads.
// Sending a Slab in an argument, a result, a queue or a pipe costs the same whatever its size,
// since the next process reads and writes the memory in place. The elements are numbers, or arrays
// and structs of numbers.
//
// A Slab belongs to one process at a time, whereas several processes can have an [Array]. A Slab
// moves like an end of a [Conn]: once the Slab is sent, the receiver has it, and [Slab.Slice]
// returns nil in the sender. If the Slab cannot be sent, the sender keeps it. A task that carries a
// Slab is not retried.
//
// The last holder must close the Slab. The garbage collector cannot do that, since it does not know
// who still uses the slice. The process that made the memory of a closed Slab uses that memory
// again for its next Slab of the same size, so a steady flow of Slabs costs neither fresh memory
// nor system calls. Memory that is unused for a second goes back to the system.
//
// A process that once had a Slab can still access that Slab's memory, so a corrupt process can
// write to a later Slab that it was never given. When a process dies, its Slabs are freed, except
// for a Slab that it was taking from a queue or pipe at that moment: that Slab's memory stays until
// the queue or pipe ends.
type Slab[T any] struct{ in *slab[T] }

type slab[T any] struct {
	moved
	*holding
	data []T
}

// NewSlab returns a Slab of n elements with undefined content, which may be left over from a
// previous user. NewSlab returns an error if T cannot be shared, if n is below 0, or if the system
// has no memory left. Fresh memory costs some ten microseconds and a descriptor, plus the cost of
// each page that is touched for the first time.
func NewSlab[T any](n int) (*Slab[T], error) {
	if err := fixedType[T](); err != nil {
		return nil, err
	}
	size := int(reflect.TypeFor[T]().Size())
	if n < 0 || n > maxBytes/size {
		return nil, fmt.Errorf("mp: NewSlab: %d elements of %d bytes: give none or more, and at most 2^46 bytes", n, size)
	}
	h, err := blocks.get(max(n*size, 1))
	if err != nil {
		return nil, err
	}
	return newSlab[T](h, n), nil
}

func newSlab[T any](h *holding, n int) *Slab[T] {
	x := &slab[T]{holding: h, data: shm.Slice[T](h.block.data.Data())[:n:n]}
	canonical := &Slab[T]{x}
	x.handle = handle{h.block.head, canonical}
	return canonical
}

// Len returns the number of elements, even after another process has received the Slab.
func (s *Slab[T]) Len() int {
	if s.in == nil {
		return 0
	}
	return len(s.in.data)
}

// Slice returns the memory itself, or nil if this process no longer has the Slab. The slice is
// valid until the Slab is closed or sent. After that, another process may write to the memory.
// Later the memory is gone, and an access ends the process with a fault that it cannot recover
// from.
func (s *Slab[T]) Slice() []T {
	if s.in == nil || s.in.state.Load() != held {
		return nil
	}
	return s.in.data
}

// Truncate shortens the Slab to its first n elements; the others are lost. It is for Slabs that
// turn out larger than their content. Truncate returns [ErrClosed] or [ErrMoved] if this process
// does not have the Slab. Other goroutines must not use the Slab at the same time.
func (s *Slab[T]) Truncate(n int) error {
	if s.in == nil {
		return errNotMade
	}
	if err := s.in.usable(); err != nil {
		return err
	}
	if n < 0 || n > len(s.in.data) {
		return fmt.Errorf("mp: Slab.Truncate to %d elements of %d", n, len(s.in.data))
	}
	s.in.data = s.in.data[:n]
	return nil
}

// Close gives the memory back, to be used again. It is fine to close a Slab twice, or to close a
// Slab that was sent. Until a Put, a Send or a similar call returns, the Slab is on its way and
// Close does nothing. If the Slab comes back because the call fails, close it again.
func (s *Slab[T]) Close() error {
	if s.in == nil {
		return errNotMade
	}
	s.in.free()
	return nil
}

// MarshalBinary encodes the Slab for a message of mp. The Slab moves with the message.
func (s *Slab[T]) MarshalBinary() ([]byte, error) {
	if s.in == nil {
		return nil, errNotMade
	}
	b, err := s.in.Ticket()
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s.in.data)))
	return binary.LittleEndian.AppendUint64(b, shapeOf[T]()), nil
}

// UnmarshalBinary sets s to the encoded Slab, which belongs to this process from now on.
func (s *Slab[T]) UnmarshalBinary(data []byte) error {
	if err := fixedType[T](); err != nil {
		return err
	}
	if len(data) != slabSize {
		return errNoSlab
	}

	rest := data[slabSize-16:]
	n, size := binary.LittleEndian.Uint64(rest), uint64(reflect.TypeFor[T]().Size())
	if binary.LittleEndian.Uint64(rest[8:]) != shapeOf[T]() {
		return fmt.Errorf("mp: a Slab of another type than %v", reflect.TypeFor[T]())
	}

	h, err := blocks.arrive(data[:slabSize-16])
	if err != nil {
		return err
	}
	if n > uint64(len(h.block.data.Data()))/size {
		h.free()
		return errNoSlab
	}
	*s = *newSlab[T](h, int(n))
	return nil
}

var errNoSlab = errors.New("mp: no handle of a Slab")

func (s *Slab[T]) shared() *handle {
	if s.in == nil {
		return nil
	}
	return &s.in.handle
}

func (s *Slab[T]) moving() codec.Mover { return s.in }

// carryIn implements carried.
func (x *slab[T]) carryIn(in *objects.Object) (id uint64, err error) { return 0, x.block.carryIn(in) }

// holding is a block that this process has, or had. Each time the block arrives, there is a new
// holding.
type holding struct {
	block *block
	// epoch counts how often the block has moved, as of this holding.
	epoch uint32
	// claims is the number of the block's claims at the start of this holding.
	claims int
	state  atomic.Int32
}

// States of a holding.
const (
	held = iota
	sentOn
	lost // the block was sent and cannot come back
	freed
)

// usable returns an error if this process does not have the block.
func (h *holding) usable() error {
	switch h.state.Load() {
	case held:
		return nil
	case sentOn, lost:
		return ErrMoved
	}
	return ErrClosed
}

// Depart lets the block leave with the message that is about to be encoded.
func (h *holding) Depart(forGood bool) error {
	if !h.state.CompareAndSwap(held, sentOn) {
		return cmp.Or(h.usable(), ErrMoved) // the block may just have come back
	}
	epoch, ok := h.block.held.Depart(h.epoch, forGood)
	if !ok {
		h.state.Store(freed)
		return ErrClosed
	}
	h.epoch = epoch
	return nil
}

// Return takes the block back from a message that was not sent.
func (h *holding) Return() {
	if h.state.Load() == sentOn && h.block.held.Arrive(h.epoch) {
		h.state.Store(held)
	}
}

// Settle lets the block stay on its way even if this process dies.
func (h *holding) Settle() {
	if h.state.Load() == sentOn {
		h.block.held.Settle(h.epoch)
	}
}

// Lose frees the block if no process will receive the block's message.
func (h *holding) Lose() {
	if h.state.CompareAndSwap(sentOn, lost) {
		h.block.held.Lose(h.epoch)
	}
}

// free frees the block if this process has it.
func (h *holding) free() {
	if h.state.CompareAndSwap(held, freed) {
		h.block.held.Free(h.epoch)
	}
}

// Ticket returns what another process needs to take or free the block while it is on its way.
func (h *holding) Ticket() ([]byte, error) {
	if h.state.Load() != sentOn {
		return nil, errSpilled
	}
	if _, err := h.block.data.Token(); err != nil { // so that other processes can fetch it
		return nil, err
	}
	t, err := h.block.head.Token()
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32(append(t.Append(nil), 0, 0), h.epoch), nil
}
