package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// Number is the constraint for the number in an [Atomic].
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// An Atomic is a number in shared memory that is read and changed atomically. It can be sent like a
// [Mutex] and is safe for concurrent use. An operation takes a few nanoseconds, plus the transfer
// of a cache line when several processors change the number.
type Atomic[T Number] struct {
	object[Atomic[T], atomicNumber[T], *atomicNumber[T]]
}

type atomicNumber[T Number] struct {
	handle
	cell *xsync.Cell
	word *atomic.Uint64
}

// NewAtomic makes an Atomic with the value v. It lives until [Atomic.Close]. Its cost and its
// errors are those of [NewMutex].
func NewAtomic[T Number](v T, opts ...Option) (*Atomic[T], error) {
	o, err := newObject(xsync.KindAtomic, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	cell := xsync.NewCell(o.Memory())
	cell.Word().Store(bitsOf(v))
	return publish[Atomic[T]](o, &atomicNumber[T]{cell: cell, word: cell.Word()}), nil
}

func (*atomicNumber[T]) kind() xsync.Kind { return xsync.KindAtomic }

func (*atomicNumber[T]) encode(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(b, shapeOf[T]()), nil
}

func (a *atomicNumber[T]) open(o *objects.Object, rest []byte) error {
	if len(rest) != 8 {
		return errors.New("mp: no handle of an Atomic")
	}
	if binary.LittleEndian.Uint64(rest) != shapeOf[T]() {
		return fmt.Errorf("mp: a shared object of another type than %v", reflect.TypeFor[T]())
	}
	a.cell = xsync.OpenCell(o.Memory())
	a.word = a.cell.Word()
	return nil
}

func (a *atomicNumber[T]) end(owned bool) { a.cell.Close(owned) }

// bitsOf returns the word for a number. Integers are stored as they are, so that the sum of two
// words is the sum of the numbers.
func bitsOf[T Number](v T) uint64 {
	switch kindOf[T]() {
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(float64(v))
	}
	return uint64(v)
}

func fromBits[T Number](b uint64) T {
	switch kindOf[T]() {
	case reflect.Float32, reflect.Float64:
		return T(math.Float64frombits(b))
	}
	return T(b)
}

func kindOf[T Number]() reflect.Kind {
	half := 0.5
	if T(half) != 0 {
		return reflect.Float64
	}
	return reflect.Int64
}

// use returns the word, or an error if the Atomic cannot be used.
func (a *Atomic[T]) use() (*atomic.Uint64, error) {
	switch {
	case a.in == nil:
		return nil, errNotMade
	case !a.in.cell.Open():
		return nil, ErrClosed
	}
	return a.in.word, nil
}

// Load returns the number. The only error is [ErrClosed].
func (a *Atomic[T]) Load() (T, error) {
	w, err := a.use()
	if err != nil {
		return 0, err
	}
	a.in.cell.Acquire()
	return a.unlessClosed(fromBits[T](w.Load()))
}

// unlessClosed returns v, which was read from the word, or ErrClosed if the Atomic is closed by
// now. In that case, this process may have given the memory back before it read v.
func (a *Atomic[T]) unlessClosed(v T) (T, error) {
	if !a.in.cell.Open() {
		return 0, ErrClosed
	}
	return v, nil
}

// Store sets the number. The only error is [ErrClosed].
func (a *Atomic[T]) Store(v T) error {
	w, err := a.use()
	if err != nil {
		return err
	}
	a.in.cell.Release()
	w.Store(bitsOf(v))
	_, err = a.unlessClosed(v)
	return err
}

// addTries is how often Add tries to change a number that other processes keep changing. Each
// failure means that another process has changed the number, so honest processes never come near
// this limit.
const addTries = 1 << 16

// Add adds to the number and returns the sum. The error is [ErrClosed], or [ErrCorrupt] if another
// process keeps overwriting the Atomic. Integers overflow as they do in Go.
func (a *Atomic[T]) Add(delta T) (T, error) {
	w, err := a.use()
	if err != nil {
		return 0, err
	}
	a.in.cell.Release()
	if wide[T]() {
		return a.unlessClosed(T(w.Add(uint64(delta))))
	}

	for range addTries {
		old := w.Load()
		sum := fromBits[T](old) + delta
		if w.CompareAndSwap(old, bitsOf(sum)) {
			return a.unlessClosed(sum)
		}
	}

	return 0, ErrCorrupt
}

// CompareAndSwap sets the number to next if it is old, and reports whether it did. For floats, it
// compares the bits. The only error is [ErrClosed].
func (a *Atomic[T]) CompareAndSwap(old, next T) (bool, error) {
	w, err := a.use()
	if err != nil {
		return false, err
	}
	a.in.cell.Release()
	a.in.cell.Acquire()
	swapped := w.CompareAndSwap(bitsOf(old), bitsOf(next))
	_, err = a.unlessClosed(old)
	return swapped && err == nil, err
}

// Swap sets the number and returns the previous one. The only error is [ErrClosed].
func (a *Atomic[T]) Swap(next T) (T, error) {
	w, err := a.use()
	if err != nil {
		return 0, err
	}
	a.in.cell.Release()
	a.in.cell.Acquire()
	return a.unlessClosed(fromBits[T](w.Swap(bitsOf(next))))
}

// wide reports whether a T fills the word, so that adding words adds numbers.
func wide[T Number]() bool {
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Int64, reflect.Uint64:
		return true
	case reflect.Int, reflect.Uint:
		return math.MaxInt == math.MaxInt64
	}
	return false
}
