package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Array is a slice in shared memory: what one process writes into it, all others see.
// Its elements are numbers, or arrays and structs of numbers. It can be sent like a
// [Mutex], which costs the same however large it is.
//
// Nothing orders what several goroutines do with an element, as with any slice: a lock
// does, an event, or a task's begin and end.
type Array[T any] struct{ a *array[T] }

type array[T any] struct {
	handle
	cell *xsync.Cell // of one among others
	data []T
}

// NewArray makes an Array of n zeros, which lives until [Array.Close]. One of up to 32 KiB
// costs as much as a [Mutex]; a larger one some ten microseconds, a descriptor, and memory as
// it is used. A T that cannot be shared, and an n below 1, are errors.
func NewArray[T any](n int, cfg ObjectConfig) (*Array[T], error) {
	if err := fixedType[T](); err != nil {
		return nil, err
	}
	size := int(reflect.TypeFor[T]().Size())
	if n < 1 || n > maxBytes/size {
		return nil, fmt.Errorf("mp: NewArray: %d elements of %d bytes: give at least one, and at most 2^46 bytes", n, size)
	}
	o, err := share.New(xsync.KindData, n*size, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	a := openArray[T](o, n, xsync.NewCell)
	return made(o, a, &a.a.handle), nil
}

// maxBytes is more than any machine has.
const maxBytes = 1 << 46

func openArray[T any](o *share.Object, n int, cell func(xsync.Memory) *xsync.Cell) *Array[T] {
	a := &array[T]{data: shm.Slice[T](o.Data())[:n:n]}
	if o.Small() {
		a.cell = cell(o.Memory())
	}
	face := &Array[T]{a}
	a.handle = handle{o, face}
	return face
}

// Len is the number of elements, also after Close; 0 for an Array that no constructor has
// made.
func (a *Array[T]) Len() int {
	if a.a == nil {
		return 0
	}
	return len(a.a.data)
}

// Slice returns the shared memory itself; nil if the Array is closed. It costs nothing.
//
// The slice is valid until Close, here or by the owner; in a task of a [mp.Pool], for which
// the Array is an argument, it stays so until the task returns. Using it later may end
// the process with a fault that cannot be recovered, if the Array is large. [Array.View] cannot.
func (a *Array[T]) Slice() []T {
	if a.a == nil || a.a.gone() {
		return nil
	}
	a.a.obj.Expose()
	return a.a.data
}

func (a *array[T]) gone() bool { return a.obj.Gone() || a.cell != nil && !a.cell.Open() }

// View calls f with the shared memory, which stays mapped until f returns, whoever closes
// the Array meanwhile. It returns [ErrClosed] or the error of f.
func (a *Array[T]) View(f func([]T) error) error {
	if a.a == nil {
		return errNotMade
	}
	if a.a.gone() {
		return ErrClosed
	}
	if err := a.a.obj.Pin(); err != nil {
		return err
	}
	defer a.a.obj.Unpin()
	return f(a.a.data)
}

const (
	// mostThin is up to how many bytes an Array may be copied of which nothing was written, and thin is how many times
	// as large as what was written a larger one may be.
	mostThin = 64 << 20
	thin     = 8
)

// Copy returns a copy of the elements, in memory of this process alone. The error is usually [ErrClosed].
//
// Elements that were never written take no memory, so another process can make an Array of any length at no cost;
// a copy takes memory for all of them. So Copy also returns an error for an Array of another process that has more
// than 64 MiB, and more than eight times as much as was ever written there. [Array.View] does not, but to read
// such elements takes memory as well.
func (a *Array[T]) Copy() (elements []T, err error) {
	err = a.View(func(s []T) error {
		n := len(shm.Bytes(s))
		if n <= mostThin || !a.a.obj.Foreign() {
			elements = append([]T(nil), s...)
			return nil
		}
		return a.a.obj.ReadWritten(func(written int64) ([]byte, error) {
			if int64(n)/thin > written {
				return nil, fmt.Errorf("mp: Array.Copy: it has %d bytes, of which only %d were ever written: a copy would take memory for all", n, written)
			}
			elements = make([]T, len(s))
			return shm.Bytes(elements), nil
		})
	})
	if err != nil {
		return nil, err
	}
	return elements, nil
}

// Close closes the Array: for all processes if this process owns it, else for this process alone.
// The owner is the process that made the Array, or received it as the result of a task. The
// memory is released when no View of it is in use. Closing twice is fine.
func (a *Array[T]) Close() error {
	if a.a == nil {
		return errNotMade
	}
	a.a.close(func(owned bool) {
		if a.a.cell != nil {
			a.a.cell.Close(owned)
		}
	})
	return nil
}

// MarshalBinary encodes a handle, not the elements, for mp's own messages. The handle is valid only
// in this tree of processes.
func (a *Array[T]) MarshalBinary() ([]byte, error) {
	b, err := marshal(a.shared())
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Len()))
	return binary.LittleEndian.AppendUint64(b, shapeOf[T]()), nil
}

// UnmarshalBinary makes this a handle of the encoded Array.
func (a *Array[T]) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindData, a, func(o *share.Object, rest []byte) (*Array[T], error) {
		if len(rest) != 16 || fixedType[T]() != nil {
			return nil, errNoArray
		}
		n, size := binary.LittleEndian.Uint64(rest), uint64(reflect.TypeFor[T]().Size())
		if binary.LittleEndian.Uint64(rest[8:]) != shapeOf[T]() {
			return nil, fmt.Errorf("mp: a shared object of another type than %v", reflect.TypeFor[T]())
		}
		if n == 0 || n > uint64(len(o.Data()))/size || o.Loose() {
			return nil, errNoArray
		}
		return openArray[T](o, int(n), xsync.OpenCell), nil
	})
}

var errNoArray = errors.New("mp: no handle of an Array")

// shapeOf is different for types with which one would see different things in the same
// memory.
func shapeOf[T any]() uint64 {
	h := fnv.New64a()
	describeShape(h, reflect.TypeFor[T]())
	return h.Sum64()
}

func (a *Array[T]) shared() *handle {
	if a.a == nil {
		return nil
	}
	return &a.a.handle
}

func (a *Array[T]) weakly() func() any { return weakly(a) }
