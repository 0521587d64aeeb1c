package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Value is a variable in shared memory, with a lock. T is a number, or an array or struct of
// numbers. A Value can be sent like a [Mutex] and is safe for concurrent use. Closing a Value does
// not close a Mutex that guards it.
//
// For a number that is only added to, an [Atomic] is faster.
type Value[T any] struct {
	object[Value[T], value[T], *value[T]]
}

type value[T any] struct {
	handle
	cell *xsync.Cell
	own  *xsync.Mutex
	lock *Mutex // from GuardedBy
	data *T

	unlocked bool
}

// A ValueOption configures a [Value]: it is [GuardedBy], [Unlocked] or an [Option]. A nil
// ValueOption changes nothing.
type ValueOption interface{ applyValue(*valueOptions) }

type valueOptions struct {
	objectOptions
	lock     *Mutex
	unmade   bool // GuardedBy has a Mutex that no constructor has made
	unlocked bool
}

type valueOption func(*valueOptions)

func (o valueOption) applyValue(to *valueOptions) { o(to) }

// GuardedBy guards the [Value] with m instead of a lock of its own, for several Values that change
// together. A caller of Load, Store or Update must not hold m. If m is nil, NewValue returns an
// error. If there are several, the last one counts.
func GuardedBy(m *Mutex) ValueOption {
	return valueOption(func(o *valueOptions) {
		o.lock = m
		o.unmade = o.unmade || m == nil || m.in == nil
	})
}

// Unlocked makes a [Value] without a lock. Without other synchronization, Load can return parts of
// the values of two Stores.
func Unlocked() ValueOption { return valueOption(func(o *valueOptions) { o.unlocked = true }) }

// NewValue makes a Value with the value v. It lives until [Value.Close]. Its cost is that of
// [NewMutex]. NewValue returns an error if T cannot be shared, or if T is larger than 512 KiB. For
// larger data, use an [Array].
func NewValue[T any](v T, opts ...ValueOption) (*Value[T], error) {
	if err := fixedType[T](); err != nil {
		return nil, err
	}
	var how valueOptions
	for _, opt := range opts {
		if opt != nil {
			opt.applyValue(&how)
		}
	}
	switch {
	case how.unmade:
		return nil, errors.New("mp: NewValue: GuardedBy needs a Mutex that NewMutex has made")
	case how.lock != nil && how.unlocked:
		return nil, errors.New("mp: NewValue: GuardedBy and Unlocked exclude each other")
	}

	size := xsync.Small + int(reflect.TypeFor[T]().Size())
	o, err := objects.New(xsync.KindValue, size, how.isolated)
	if err != nil {
		return nil, fmt.Errorf("mp: NewValue: %w", err)
	}
	x := &value[T]{lock: how.lock, unlocked: how.unlocked}
	x.use(o, xsync.NewMutex)
	*x.data = v
	return publish[Value[T]](o, x), nil
}

// use makes v refer to an object. It calls lock to make or open the object's lock.
func (v *value[T]) use(o *objects.Object, lock func(xsync.Memory) *xsync.Mutex) {
	v.data = shm.At[T](o.Bytes()[xsync.Small:])
	m := lock(o.Memory())
	v.cell = xsync.OpenCell(o.Memory())
	if v.lock == nil && !v.unlocked {
		v.own = m
	}
}

func (*value[T]) kind() xsync.Kind { return xsync.KindValue }

// These constants say, in the encoding of a Value, how the Value is guarded.
const (
	ownLock = iota
	noLock
	givenLock
)

func (v *value[T]) encode(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, shapeOf[T]())
	switch {
	case v.lock != nil:
		l, err := v.lock.MarshalBinary()
		return append(append(b, givenLock), l...), err
	case v.own == nil:
		b = append(b, noLock)
	default:
		b = append(b, ownLock)
	}
	return append(b, make([]byte, objects.TokenSize)...), nil
}

var errNoValue = errors.New("mp: no handle of a Value")

func (v *value[T]) open(o *objects.Object, rest []byte) error {
	size := xsync.Small + int(reflect.TypeFor[T]().Size())
	switch {
	case binary.LittleEndian.Uint64(rest) != shapeOf[T]():
		return fmt.Errorf("mp: a shared object of another type than %v", reflect.TypeFor[T]())
	case fixedType[T]() != nil || len(o.Bytes()) < size:
		return errNoValue
	}
	v.use(o, xsync.OpenMutex)
	return nil
}

func (v *value[T]) end(owned bool) {
	v.cell.Close(owned)
	if v.own != nil {
		v.own.Close(owned)
	}
}

// UnmarshalBinary makes v a handle to the encoded Value and to the Mutex that guards it.
func (v *Value[T]) UnmarshalBinary(data []byte) error {
	const guard = objects.TokenSize + 8 // the offset of ownLock, noLock or givenLock
	if len(data) != guard+1+objects.TokenSize {
		return errNoValue
	}
	x := &value[T]{unlocked: data[guard] == noLock}
	if data[guard] == givenLock {
		var err error
		if x.lock, err = lockOf(data[guard+1:]); err != nil {
			return err
		}
	}
	return v.attach(data, x)
}

// Load returns the value. It waits for the lock until ctx ends. The error is ctx's, [ErrClosed] or
// [ErrOwnerDied].
func (v *Value[T]) Load(ctx context.Context) (value T, _ error) {
	if err := v.locked(ctx, func(p *T) { value = *p }); err != nil {
		return *new(T), err
	}
	return value, nil
}

// Store sets the value. It waits for the lock until ctx ends. The error is ctx's, [ErrClosed] or
// [ErrOwnerDied].
func (v *Value[T]) Store(ctx context.Context, value T) error {
	return v.locked(ctx, func(p *T) { *p = value })
}

// Update calls f with a copy of the value. If f returns nil, Update sets the value to the copy. If
// f returns an error, Update returns that error and leaves the value as it was. If f panics, the
// value also stays as it was. No other caller loads or stores the value meanwhile. Update holds the
// lock while f runs, so f must not use the Value itself.
//
// Update's other errors are those of Load. They mean that f was not called, with one exception:
// [ErrClosed] can also mean that the Value was closed while f ran.
func (v *Value[T]) Update(ctx context.Context, f func(value *T) error) (err error) {
	e := v.locked(ctx, func(p *T) {
		value := *p
		if v.in.unlessClosed() != nil { // if so, the copy may be zeros
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

// locked calls f with the lock held, if there is one.
func (v *Value[T]) locked(ctx context.Context, f func(*T)) error {
	if v.in == nil {
		return errNotMade
	}
	if err := v.in.unlessClosed(); err != nil {
		return err
	}

	lock := v.in.own
	switch {
	case v.in.lock != nil:
		lock = v.in.lock.in.x
	case lock == nil:
		if err := ctx.Err(); err != nil {
			return ended(ctx, err)
		}
		f(v.in.data)
		return v.in.unlessClosed()
	}

	if err := lock.Lock(ctx); err != nil {
		return ended(ctx, err)
	}
	defer func() { _ = lock.Unlock() }() // Unlock can fail only if the lock was closed meanwhile
	f(v.in.data)
	return v.in.unlessClosed()
}

// unlessClosed returns ErrClosed if the Value has been closed. In that case, this process may have
// given the memory back while it was using it.
func (v *value[T]) unlessClosed() error {
	if v.obj.Gone() || !v.cell.Open() {
		return ErrClosed
	}
	return nil
}

// Recover is like [Mutex.Recover], for the lock that guards the Value. Use it after a holder has
// died during Store or Update. The Value keeps what repair leaves in it.
func (v *Value[T]) Recover(ctx context.Context, repair func(value *T) error) error {
	if v.in == nil {
		return errNotMade
	}
	lock := v.in.own
	if v.in.lock != nil {
		lock = v.in.lock.in.x
	}
	if lock == nil {
		return nil
	}
	return ended(ctx, lock.Recover(ctx, func() error { return repair(v.in.data) }))
}

// Mutex returns the Mutex that [GuardedBy] named, or nil if there is none.
func (v *Value[T]) Mutex() *Mutex {
	if v.in == nil {
		return nil
	}
	return v.in.lock
}
