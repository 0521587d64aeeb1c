package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Array is a slice in shared memory: all processes that have the Array see what one of them
// writes. The elements are numbers, or arrays and structs of numbers. An Array can be sent like a
// [Mutex], at a cost that does not depend on its length. After Close, the memory is released as
// soon as no View of it is in use.
//
// Like any slice, an Array does not order concurrent accesses to an element. Use a lock or an
// [Event] for that. The beginning and the end of a task order accesses too.
type Array[T any] struct {
	object[Array[T], array[T], *array[T]]
}

type array[T any] struct {
	handle
	cell *xsync.Cell // only if the object is small
	data []T
}

// NewArray makes an Array of n zeros, which lives until [Array.Close]. An Array of up to 32 KiB
// costs as much as a [Mutex]. A larger Array costs some ten microseconds and a descriptor, and
// takes memory as it is used. NewArray returns an error if T cannot be shared, or if n is below 1.
func NewArray[T any](n int, opts ...Option) (*Array[T], error) {
	if err := fixedType[T](); err != nil {
		return nil, err
	}
	size := int(reflect.TypeFor[T]().Size())
	if n < 1 || n > maxBytes/size {
		return nil, fmt.Errorf("mp: NewArray: %d elements of %d bytes: give at least one, and at most 2^46 bytes", n, size)
	}
	o, err := newObject(xsync.KindData, n*size, opts)
	if err != nil {
		return nil, err
	}
	a := &array[T]{}
	a.use(o, n, xsync.NewCell)
	return publish[Array[T]](o, a), nil
}

// maxBytes is more than any machine has.
const maxBytes = 1 << 46

// use makes a refer to an object. If the object is small, use calls cell to make or open its cell.
func (a *array[T]) use(o *objects.Object, n int, cell func(xsync.Memory) *xsync.Cell) {
	a.data = shm.Slice[T](o.Data())[:n:n]
	if o.Small() {
		a.cell = cell(o.Memory())
	}
}

func (*array[T]) kind() xsync.Kind { return xsync.KindData }

func (a *array[T]) encode(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(a.data)))
	return binary.LittleEndian.AppendUint64(b, shapeOf[T]()), nil
}

var errNoArray = errors.New("mp: no handle of an Array")

func (a *array[T]) open(o *objects.Object, rest []byte) error {
	if len(rest) != 16 || fixedType[T]() != nil {
		return errNoArray
	}
	if binary.LittleEndian.Uint64(rest[8:]) != shapeOf[T]() {
		return fmt.Errorf("mp: a shared object of another type than %v", reflect.TypeFor[T]())
	}
	n, size := binary.LittleEndian.Uint64(rest), uint64(reflect.TypeFor[T]().Size())
	if n == 0 || n > uint64(len(o.Data()))/size || o.Shrinkable() {
		return errNoArray
	}
	a.use(o, int(n), xsync.OpenCell)
	return nil
}

func (a *array[T]) end(owned bool) {
	if a.cell != nil {
		a.cell.Close(owned)
	}
}

// Len returns the number of elements, even after Close. It returns 0 if no constructor has made the
// Array.
func (a *Array[T]) Len() int {
	if a.in == nil {
		return 0
	}
	return len(a.in.data)
}

// Slice returns the shared memory itself, or nil if the Array is closed. It costs nothing.
//
// The slice is valid until this process or the owner closes the Array. In a task of an [mp.Pool]
// that received the Array as an argument, the slice stays valid until the task returns. Using the
// slice of a large Array later may end the process with a fault that it cannot recover from.
// [Array.View] avoids this.
func (a *Array[T]) Slice() []T {
	if a.in == nil || a.in.gone() {
		return nil
	}
	a.in.obj.Expose()
	return a.in.data
}

func (a *array[T]) gone() bool { return a.obj.Gone() || a.cell != nil && !a.cell.Open() }

// View calls f with the shared memory, which stays mapped until f returns, even if the Array is
// closed meanwhile. It returns f's error or [ErrClosed].
func (a *Array[T]) View(f func([]T) error) error {
	if a.in == nil {
		return errNotMade
	}
	if a.in.gone() {
		return ErrClosed
	}
	if err := a.in.obj.Pin(); err != nil {
		return err
	}
	defer a.in.obj.Unpin()
	return f(a.in.data)
}

const (
	// maxThin is the size in bytes up to which Copy always copies an Array of another process.
	maxThin = 64 << 20
	// thin is the maximum ratio of a larger Array's size to what was written to it.
	thin = 8
)

// Copy returns a copy of the elements, in memory that only this process has. The error is usually
// [ErrClosed].
//
// Elements that were never written take no memory, so another process can make an Array of any
// length at no cost, while a copy takes memory for all elements. Copy therefore refuses an Array of
// another process if it is larger than 64 MiB and more than eight times as large as what was ever
// written to it. [Array.View] accepts such an Array, but reading the elements takes memory as well.
func (a *Array[T]) Copy() (elements []T, err error) {
	err = a.View(func(s []T) error {
		n := len(shm.Bytes(s))
		if n <= maxThin || !a.in.obj.Foreign() {
			elements = append([]T(nil), s...)
			return nil
		}
		return a.in.obj.ReadWritten(func(written int64) ([]byte, error) {
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
