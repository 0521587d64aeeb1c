package ipc

import (
	"context"
	"sync"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// A Mutex is a lock that goroutines of several processes take in turn. A pointer to
// it can be sent to any of them, in an argument, a result or inside of either. It is safe
// for concurrent use.
//
// It is held by a process: any goroutine of it may unlock it, as with [sync.Mutex]. When a
// process dies that holds it, the next one to lock it gets [ErrOwnerDied], until
// one of them has repaired what the lock guards with [Mutex.Recover]. A caller that comes later may
// pass callers that wait, as long as none of these has waited for a millisecond, as in Go's
// sync.Mutex.
//
// Locking and unlocking an uncontended Mutex takes some ten nanoseconds and no system
// call. However many goroutines wait, for however many objects, one thread of each
// process does it for all.
type Mutex struct {
	object[Mutex, mutex, *mutex]
}

type mutex struct {
	handle
	x *xsync.Mutex
}

func (*mutex) kind() xsync.Kind { return xsync.KindMutex }

func (m *mutex) open(o *share.Object, _ []byte) error {
	m.x = xsync.OpenMutex(o.Memory())
	return nil
}

func (m *mutex) end(owned bool) { m.x.Close(owned) }

// NewMutex makes a Mutex, which lives until [Mutex.Close]. It costs some hundred
// nanoseconds, and in a worker that shares something for the first time a question to
// its parent. It fails if the system gives no shared memory.
func NewMutex(opts ...Option) (*Mutex, error) {
	o, err := newObject(xsync.KindMutex, xsync.Small, opts)
	if err != nil {
		return nil, err
	}
	return publish[Mutex](o, &mutex{x: xsync.NewMutex(o.Memory())}), nil
}

// Lock takes the lock, and waits for it until ctx ends. On error the lock is not held. The error
// is ctx's, [ErrOwnerDied] or [ErrClosed].
func (m *Mutex) Lock(ctx context.Context) error {
	if m.in == nil {
		return errNotMade
	}
	if err := m.in.x.Lock(ctx); err != nil {
		return ended(ctx, err)
	}
	return nil
}

// TryLock takes the lock if it is free, and reports whether it did.
func (m *Mutex) TryLock() (bool, error) {
	if m.in == nil {
		return false, errNotMade
	}
	return m.in.x.TryLock()
}

// Unlock gives the lock up. If this process does not hold it, that is [ErrNotHeld] and
// nothing is changed.
func (m *Mutex) Unlock() error {
	if m.in == nil {
		return errNotMade
	}
	return m.in.x.Unlock()
}

// Recover calls repair after the death of a holder, with the lock held but for others
// only. If repair returns nil, the Mutex can be used again; otherwise, and if repair
// panics or this process dies as well, everybody goes on getting [ErrOwnerDied]. Of
// several that call Recover one does it, and the others wait for that. If no holder has
// died it returns nil at once.
func (m *Mutex) Recover(ctx context.Context, repair func() error) error {
	if m.in == nil {
		return errNotMade
	}
	return ended(ctx, m.in.x.Recover(ctx, repair))
}

// Locker returns a [sync.Locker] for code that wants one. Its methods panic with the
// error where the lock cannot be taken or given up; it waits without a bound.
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
