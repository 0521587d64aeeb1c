package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Value is a variable in shared memory, with a lock. T is a number, or an array or
// struct of numbers. It can be sent like a [Mutex] and is safe for concurrent use.
//
// For a number that is only added to, [Atomic] is faster.
type Value[T any] struct{ v *value[T] }

type value[T any] struct {
	handle
	cell *xsync.Cell // without a lock of its own
	own  *xsync.Mutex
	lock *Mutex // the caller's
	data *T
}

// NewValue makes a Value that is v, and lives until [Value.Close]; see [NewMutex]. A T that
// cannot be shared is an error, and so is one above 512 KiB, for which there is [Array].
func NewValue[T any](v T, cfg ValueConfig) (*Value[T], error) {
	if err := fixedType[T](); err != nil {
		return nil, err
	}
	if cfg.Mutex != nil && (cfg.Unlocked || cfg.Mutex.m == nil) {
		return nil, errors.New("mp: NewValue: ValueConfig.Mutex is not made by NewMutex, or Unlocked is set too")
	}
	size := xsync.Small + int(reflect.TypeFor[T]().Size())
	o, err := share.New(xsync.KindValue, size, cfg.Isolated)
	if err != nil {
		return nil, fmt.Errorf("mp: NewValue: %w", err)
	}
	x := openValue[T](o, cfg.Mutex, cfg.Unlocked, xsync.NewMutex)
	*x.v.data = v
	return made(o, x, &x.v.handle), nil
}

func openValue[T any](o *share.Object, lock *Mutex, unlocked bool, open func(xsync.Memory) *xsync.Mutex) *Value[T] {
	v := &value[T]{lock: lock, data: shm.At[T](o.Bytes()[xsync.Small:])}
	m := open(o.Memory())
	v.cell = xsync.OpenCell(o.Memory())
	if lock == nil && !unlocked {
		v.own = m
	}
	face := &Value[T]{v}
	v.handle = handle{o, face}
	return face
}

// Load returns the value. The error is ctx's, [ErrClosed] or [ErrOwnerDied].
func (v *Value[T]) Load(ctx context.Context) (value T, _ error) {
	if err := v.locked(ctx, func(p *T) { value = *p }); err != nil {
		return *new(T), err
	}
	return value, nil
}

// Store sets the value. The error is ctx's, [ErrClosed] or [ErrOwnerDied].
func (v *Value[T]) Store(ctx context.Context, value T) error {
	return v.locked(ctx, func(p *T) { *p = value })
}

// Update calls f with a copy of the value and, if f returns nil, sets the value to what the
// copy has become. Nobody else loads or stores meanwhile. If f returns an error, which
// Update returns then, or panics, the value stays as it was. The lock is held while f
// runs: f must not use the Value itself. Other errors are those of Load, and f was not
// called, except that [ErrClosed] can also mean that the Value was closed while f ran.
func (v *Value[T]) Update(ctx context.Context, f func(value *T) error) (err error) {
	e := v.locked(ctx, func(p *T) {
		value := *p
		if v.v.unlessClosed() != nil { // it may be zeros
			return
		}
		if err = f(&value); err == nil {
			*p = value
		}
	})
	if err == nil {
		err = e
	}
	return err
}

// locked calls f with the lock held, whichever that is.
func (v *Value[T]) locked(ctx context.Context, f func(*T)) error {
	if v.v == nil {
		return errNotMade
	}
	if err := v.v.unlessClosed(); err != nil {
		return err
	}
	lock := v.v.own
	switch {
	case v.v.lock != nil:
		lock = v.v.lock.m.x
	case lock == nil:
		if err := ctx.Err(); err != nil {
			return ended(ctx, err)
		}
		f(v.v.data)
		return v.v.unlessClosed()
	}
	if err := lock.Lock(ctx); err != nil {
		return ended(ctx, err)
	}
	defer func() { _ = lock.Unlock() }() // only closing it could have been in between
	f(v.v.data)
	return v.v.unlessClosed()
}

// unlessClosed returns ErrClosed if the Value has been closed: this process may have given the memory back while it
// used it.
func (v *value[T]) unlessClosed() error {
	if v.obj.Gone() || !v.cell.Open() {
		return ErrClosed
	}
	return nil
}

// Recover is [Mutex.Recover] for a Value with a lock of its own, of which a holder has died
// in Store or Update. What repair leaves is the value.
func (v *Value[T]) Recover(ctx context.Context, repair func(value *T) error) error {
	if v.v == nil {
		return errNotMade
	}
	lock := v.v.own
	if v.v.lock != nil {
		lock = v.v.lock.m.x
	}
	if lock == nil {
		return nil
	}
	return ended(ctx, lock.Recover(ctx, func() error { return repair(v.v.data) }))
}

// Mutex is that of [ValueConfig]; nil if there is none.
func (v *Value[T]) Mutex() *Mutex {
	if v.v == nil {
		return nil
	}
	return v.v.lock
}

// Close closes the Value, but not a Mutex that it was made with: for all processes if this
// process owns it, else for this process alone. The owner is the process that made the Value, or
// received it as the result of a task. Later calls return [ErrClosed]. Closing twice is fine.
func (v *Value[T]) Close() error {
	if v.v == nil {
		return errNotMade
	}
	v.v.close(func(owned bool) {
		v.v.cell.Close(owned)
		if v.v.own != nil {
			v.v.own.Close(owned)
		}
	})
	return nil
}

// How a Value is guarded, on the wire.
const (
	ownLock = iota
	noLock
	givenLock
)

// MarshalBinary encodes a handle, not the value, for mp's own messages. The handle is valid only
// in this tree of processes.
func (v *Value[T]) MarshalBinary() ([]byte, error) {
	b, err := marshal(v.shared())
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint64(b, shapeOf[T]())
	switch {
	case v.v.lock != nil:
		l, err := marshal(v.v.lock.shared())
		return append(append(b, givenLock), l...), err
	case v.v.own == nil:
		b = append(b, noLock)
	default:
		b = append(b, ownLock)
	}
	return append(b, make([]byte, share.TokenSize)...), nil
}

// UnmarshalBinary makes v a handle of the encoded Value.
func (v *Value[T]) UnmarshalBinary(data []byte) error {
	const guard = share.TokenSize + 8 // where it says how it is guarded
	if len(data) != guard+1+share.TokenSize {
		return errNoValue
	}
	var lock *Mutex
	if data[guard] == givenLock {
		var err error
		if lock, err = lockOf(data[guard+1:]); err != nil {
			return err
		}
	}
	return meet(data, xsync.KindValue, v, func(o *share.Object, rest []byte) (*Value[T], error) {
		size := xsync.Small + int(reflect.TypeFor[T]().Size())
		switch {
		case binary.LittleEndian.Uint64(rest) != shapeOf[T]():
			return nil, fmt.Errorf("mp: a shared object of another type than %v", reflect.TypeFor[T]())
		case fixedType[T]() != nil || len(o.Bytes()) < size:
			return nil, errNoValue
		}
		return openValue[T](o, lock, data[guard] == noLock, xsync.OpenMutex), nil
	})
}

var errNoValue = errors.New("mp: no handle of a Value")

func (v *Value[T]) shared() *handle {
	if v.v == nil {
		return nil
	}
	return &v.v.handle
}

func (v *Value[T]) weakly() func() any { return weakly(v) }
