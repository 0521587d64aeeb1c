package ipc

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Mutex is a lock that goroutines of several processes take in turn. It travels in arguments,
// results and messages as a pointer: the receiver gets a pointer to the same Mutex. It is safe for
// concurrent use.
//
// A process holds the lock: any of its goroutines can unlock it, as with [sync.Mutex]. When a
// process dies while it holds the lock, callers of Lock get [ErrOwnerDied] until one of them has
// used [Mutex.Recover] to repair what the lock guards. As with sync.Mutex, a later caller may pass
// waiting callers as long as none of them has waited for a millisecond.
//
// Locking and unlocking an uncontended Mutex takes some ten nanoseconds and no system call. In each
// process, a single thread does the waiting on behalf of all goroutines and for all objects.
type Mutex struct {
	object[Mutex, mutex, *mutex]
}

type mutex struct {
	handle
	x *xsync.Mutex
}

func (*mutex) kind() xsync.Kind { return xsync.KindMutex }

func (m *mutex) open(o *objects.Object, _ []byte) error {
	m.x = xsync.OpenMutex(o.Memory())
	return nil
}

func (m *mutex) end(owned bool) { m.x.Close(owned) }

// NewMutex makes a Mutex, which lives until [Mutex.Close]. It costs some hundred nanoseconds. In a
// worker that shares something for the first time, NewMutex also has to ask the parent. NewMutex
// returns an error if the system has no shared memory left.
func NewMutex(opts ...Option) (*Mutex, error) {
	o, err := newObject(xsync.KindMutex, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[Mutex](o, &mutex{x: xsync.NewMutex(o.Memory())}), nil
}

// Lock takes the lock. It waits for the lock until ctx ends. On error, the lock is not held. The
// error is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *Mutex) Lock(ctx context.Context) error {
	if m.in == nil {
		return errNotMade
	}
	if err := m.in.x.Lock(ctx); err != nil {
		return ended(ctx, err)
	}
	return nil
}

// TryLock takes the lock if it is free, and reports whether it did. It does not wait. The error is
// [ErrOwnerDied] or [ErrClosed].
func (m *Mutex) TryLock() (bool, error) {
	if m.in == nil {
		return false, errNotMade
	}
	return m.in.x.TryLock()
}

// Unlock releases the lock. If this process does not hold the lock, Unlock returns [ErrNotHeld] and
// changes nothing.
func (m *Mutex) Unlock() error {
	if m.in == nil {
		return errNotMade
	}
	return m.in.x.Unlock()
}

// Recover calls repair after a holder has died, while no other caller can take the lock. If repair
// returns nil, the Mutex works again. If repair returns an error or panics, or if this process dies
// too, callers still get [ErrOwnerDied]. If several goroutines call Recover, one of them calls its
// repair function and the others wait for that until their contexts end. If no holder has died,
// Recover returns nil at once.
func (m *Mutex) Recover(ctx context.Context, repair func() error) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Recover(ctx, repair))
}

// Locker returns a [sync.Locker] that locks and unlocks m. Its Lock method waits without a limit.
// Both methods panic with the error if they fail.
func (m *Mutex) Locker() sync.Locker { return locker{m.Lock, m.Unlock} }

type locker struct {
	lock   func(context.Context) error
	unlock func() error
}

func (l locker) Lock() {
	if err := l.lock(context.Background()); err != nil {
		panic(err)
	}
}

func (l locker) Unlock() {
	if err := l.unlock(); err != nil {
		panic(err)
	}
}
