package ipc

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// A Slab is a slice in shared memory that moves from process to process, for large payloads: in
// an argument or a result, through a queue or a pipe it costs the same however large it is,
// since the next process reads and writes the memory where it is. Its elements are numbers,
// or arrays and structs of numbers.
//
// One process has a Slab at a time. It moves like an end of a [Conn]: when it was sent, its
// methods here return nothing any more, and the receiver has it; it stays the sender's if it
// cannot be sent; a task that carries one is not retried. Several processes at a time can
// have an [Array].
//
// The last holder must close the Slab: the garbage collector does not, since it cannot know who
// still uses the slice. Memory of a Slab that is closed is used again for the next one of that size which the
// process makes that had made it, so a steady flow of slabs costs neither fresh memory nor
// system calls. A process that had such memory before can still reach it: a corrupt one can write into a later
// Slab that it was never given. Memory that has not been used for a second is given back. The memory of a process
// that died is free as well; but what it was taking from a queue or pipe at that very moment stays until that ends.
type Slab[T any] struct{ in *slab[T] }

type slab[T any] struct {
	moved
	*holding
	data []T
}

// NewSlab returns a Slab of n elements, of which the content is undefined: it may be what
// somebody left there. A T that cannot be shared, and an n below 0, are errors, and so is
// that the system gives no memory. Fresh memory costs some ten microseconds and a
// descriptor, and its pages as they are touched.
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

// Len is the number of elements, also once somebody else has them.
func (s *Slab[T]) Len() int {
	if s.in == nil {
		return 0
	}
	return len(s.in.data)
}

// Slice returns the memory itself; nil if this process does not have it any more. It is valid
// until Close, or until the Slab is sent: then somebody else writes there, and later that it is
// gone, which ends the process with a fault that cannot be recovered.
func (s *Slab[T]) Slice() []T {
	if s.in == nil || s.in.state.Load() != held {
		return nil
	}
	return s.in.data
}

// Truncate makes it n elements long, of those that it has; the others are lost. What is read
// into a Slab may turn out to be less than there is room for. It returns [ErrClosed] or
// [ErrMoved] if this process does not have it. It is not to be called while another goroutine
// uses the Slab.
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

// Close gives the memory back, to be used again. Closing twice is fine, and so is closing
// what was sent. While a Put, Send or the like has not returned, it does nothing: the Slab is on
// its way. If it comes back, close it then.
func (s *Slab[T]) Close() error {
	if s.in == nil {
		return errNotMade
	}
	s.in.free()
	return nil
}

// MarshalBinary encodes the Slab for mp's own messages, with which it moves.
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

// UnmarshalBinary makes s the Slab that was encoded, which is this process's from now on.
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

// carryIn is carried's.
func (x *slab[T]) carryIn(in *share.Object) (id uint64, err error) { return 0, x.block.carryIn(in) }

// holding is a block that this process has, or had: each time it arrives there is a new one.
type holding struct {
	block  *block
	trip   uint32 // since which this process has it, or on which it is
	claims int    // the block's, when this process had it last
	state  atomic.Int32
}

// States of a holding.
const (
	held = iota
	sentOn
	lost // it was sent on, and cannot come back
	freed
)

// usable says why this process does not have the block.
func (h *holding) usable() error {
	switch h.state.Load() {
	case held:
		return nil
	case sentOn, lost:
		return ErrMoved
	}
	return ErrClosed
}

// Depart lets the block go with the message that is about to be encoded.
func (h *holding) Depart(forGood bool) error {
	if !h.state.CompareAndSwap(held, sentOn) {
		return cmp.Or(h.usable(), ErrMoved) // it may just have come back
	}
	trip, ok := h.block.held.Depart(h.trip, forGood)
	if !ok {
		h.state.Store(freed)
		return ErrClosed
	}
	h.trip = trip
	return nil
}

// Return takes the block back from a message that was not sent.
func (h *holding) Return() {
	if h.state.Load() == sentOn && h.block.held.Arrive(h.trip) {
		h.state.Store(held)
	}
}

// Settle lets the block be on its way though this process may die.
func (h *holding) Settle() {
	if h.state.Load() == sentOn {
		h.block.held.Settle(h.trip)
	}
}

// Lose frees the block if its message will not be received.
func (h *holding) Lose() {
	if h.state.CompareAndSwap(sentOn, lost) {
		h.block.held.Lose(h.trip)
	}
}

// free frees the block if this process has it.
func (h *holding) free() {
	if h.state.CompareAndSwap(held, freed) {
		h.block.held.Free(h.trip)
	}
}

// Ticket is what it takes to free the block on its way.
func (h *holding) Ticket() ([]byte, error) {
	if h.state.Load() != sentOn {
		return nil, errOutside
	}
	if _, err := h.block.data.Token(); err != nil { // others can fetch it then
		return nil, err
	}
	t, err := h.block.head.Token()
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32(append(t.Append(nil), 0, 0), h.trip), nil
}
