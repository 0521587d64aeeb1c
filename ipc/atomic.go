package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Atomic is a number in shared memory that is read and changed in single steps. It can be
// sent like a [Mutex] and is safe for concurrent use. An operation costs a few
// nanoseconds, and what moving a cache line costs when several processors change it.
type Atomic[T Number] struct{ a *atomicNumber }

type atomicNumber struct {
	handle
	cell *xsync.Cell
	word *atomic.Uint64
}

// NewAtomic makes an Atomic that is v, and lives until [Atomic.Close]; see [NewMutex].
func NewAtomic[T Number](v T, cfg ObjectConfig) (*Atomic[T], error) {
	o, err := share.New(xsync.KindAtomic, xsync.Small, cfg.Isolated)
	if err != nil {
		return nil, err
	}
	a := openAtomic[T](o, xsync.NewCell)
	a.a.word.Store(bitsOf(v))
	return made(o, a, &a.a.handle), nil
}

func openAtomic[T Number](o *share.Object, open func(xsync.Memory) *xsync.Cell) *Atomic[T] {
	c := open(o.Memory())
	a := &atomicNumber{cell: c, word: c.Word()}
	face := &Atomic[T]{a}
	a.handle = handle{o, face}
	return face
}

// bitsOf is how a number lies in a word: a whole one as it is, so that sums are sums.
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

// use returns the word, or an error if there is none to use.
func (a *Atomic[T]) use() (*atomic.Uint64, error) {
	switch {
	case a.a == nil:
		return nil, errNotMade
	case !a.a.cell.Open():
		return nil, ErrClosed
	}
	return a.a.word, nil
}

// Load returns the number; the error can only be [ErrClosed].
func (a *Atomic[T]) Load() (T, error) {
	w, err := a.use()
	if err != nil {
		return 0, err
	}
	a.a.cell.Acquire()
	return a.unlessClosed(fromBits[T](w.Load()))
}

// unlessClosed returns a number that was read, or ErrClosed if the Atomic has been closed since: this process may have
// given the memory back before it read.
func (a *Atomic[T]) unlessClosed(v T) (T, error) {
	if !a.a.cell.Open() {
		return 0, ErrClosed
	}
	return v, nil
}

// Store sets the number; the error can only be [ErrClosed].
func (a *Atomic[T]) Store(v T) error {
	w, err := a.use()
	if err != nil {
		return err
	}
	a.a.cell.Release()
	w.Store(bitsOf(v))
	_, err = a.unlessClosed(v)
	return err
}

// addTries is how often Add tries to change a number that others keep changing. Each failure means that another
// process has changed it, so honest processes never come near this number.
const addTries = 1 << 16

// Add adds to the number and returns what it is then; the error is [ErrClosed], or [ErrCorrupt] if another process
// keeps overwriting the Atomic. Whole numbers overflow as they do in Go.
func (a *Atomic[T]) Add(delta T) (T, error) {
	w, err := a.use()
	if err != nil {
		return 0, err
	}
	a.a.cell.Release()
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

// CompareAndSwap sets the number to next if it is old, and reports whether it was; the error
// can only be [ErrClosed]. As in sync/atomic, what is compared of a float is its bits.
func (a *Atomic[T]) CompareAndSwap(old, next T) (bool, error) {
	w, err := a.use()
	if err != nil {
		return false, err
	}
	a.a.cell.Release()
	a.a.cell.Acquire()
	swapped := w.CompareAndSwap(bitsOf(old), bitsOf(next))
	_, err = a.unlessClosed(old)
	return swapped && err == nil, err
}

// Swap sets the number and returns what it was; the error can only be [ErrClosed].
func (a *Atomic[T]) Swap(next T) (T, error) {
	w, err := a.use()
	if err != nil {
		return 0, err
	}
	a.a.cell.Release()
	a.a.cell.Acquire()
	return a.unlessClosed(fromBits[T](w.Swap(bitsOf(next))))
}

// wide reports whether a T fills the word, so that its sums are those of words.
func wide[T Number]() bool {
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Int64, reflect.Uint64:
		return true
	case reflect.Int, reflect.Uint:
		return math.MaxInt == math.MaxInt64
	}
	return false
}

// Close closes the Atomic: for all processes if this process owns it, else for this process
// alone. The owner is the process that made the Atomic, or received it as the result of a task.
// Later calls return [ErrClosed]. Closing twice is fine.
func (a *Atomic[T]) Close() error {
	if a.a == nil {
		return errNotMade
	}
	a.a.close(a.a.cell.Close)
	return nil
}

// MarshalBinary encodes a handle, not the number, for mp's own messages. The handle is valid only
// in this tree of processes.
func (a *Atomic[T]) MarshalBinary() ([]byte, error) {
	b, err := marshal(a.shared())
	return binary.LittleEndian.AppendUint64(b, shapeOf[T]()), err
}

// UnmarshalBinary makes this a handle of the encoded Atomic.
func (a *Atomic[T]) UnmarshalBinary(data []byte) error {
	return meet(data, xsync.KindAtomic, a, func(o *share.Object, rest []byte) (*Atomic[T], error) {
		if len(rest) != 8 {
			return nil, errors.New("mp: no handle of an Atomic")
		}
		if binary.LittleEndian.Uint64(rest) != shapeOf[T]() {
			return nil, fmt.Errorf("mp: a shared object of another type than %v", reflect.TypeFor[T]())
		}
		return openAtomic[T](o, xsync.OpenCell), nil
	})
}

func (a *Atomic[T]) shared() *handle {
	if a.a == nil {
		return nil
	}
	return &a.a.handle
}

func (a *Atomic[T]) weakly() func() any { return weakly(a) }
