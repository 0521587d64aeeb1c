//go:build linux

package attacks

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/ipc"
)

// given holds the object that the attacker was given, if there is one.
type given struct {
	Mutex     *ipc.Mutex
	RWMutex   *ipc.RWMutex
	Recursive *ipc.RecursiveMutex
	Cond      *ipc.Cond
	Event     *ipc.Event
	Barrier   *ipc.Barrier
	Semaphore *ipc.Semaphore
	Bounded   *ipc.BoundedSemaphore
	WaitGroup *ipc.WaitGroup
	Once      *ipc.Once
	Value     *ipc.Value[int]
	Atomic    *ipc.Atomic[int64]
	Array     *ipc.Array[int64]
	Queue     *ipc.Queue[[]byte]
	Conn      *ipc.Conn[[]byte]
	Slab      *ipc.Slab[byte]
	Memory    *ipc.SharedMemory
}

// gifted is main's side of a given object.
type gifted struct {
	given
	peer *ipc.Conn[[]byte] // the end of a pipe that main keeps
}

// A gift is a kind of object to give to an attacker.
type gift struct {
	name string
	kind xsync.Kind
	make func(g *gifted) error
	wire func(g *given) ([]byte, error)
	// use uses the object in main while it is attacked. It may fail, but it must return soon after
	// ctx ends.
	use   func(ctx context.Context, g *gifted) error
	close func(g *gifted) error
}

// shared is a shared object.
type shared interface {
	MarshalBinary() ([]byte, error)
	Close() error
}

// newGift returns a gift, given a constructor and the field for the object.
func newGift[T shared](name string, kind xsync.Kind, field func(g *given) *T, create func() (T, error), use func(context.Context, T) error) gift {
	return gift{
		name: name, kind: kind,
		make: func(g *gifted) (err error) {
			*field(&g.given), err = create()
			return err
		},
		wire:  func(g *given) ([]byte, error) { return (*field(g)).MarshalBinary() },
		use:   func(ctx context.Context, g *gifted) error { return use(ctx, *field(&g.given)) },
		close: func(g *gifted) error { return (*field(&g.given)).Close() },
	}
}

// closing returns the gift g with a different close function.
func closing(g gift, end func(g *gifted) error) gift {
	g.close = end
	return g
}

// gifts has one gift of each kind.
var gifts = []gift{
	newGift("Mutex", xsync.KindMutex, func(g *given) **ipc.Mutex { return &g.Mutex }, func() (*ipc.Mutex, error) { return ipc.NewMutex() },
		func(ctx context.Context, m *ipc.Mutex) error { return errors.Join(m.Lock(ctx), m.Unlock()) }),
	newGift("RWMutex", xsync.KindRWMutex, func(g *given) **ipc.RWMutex { return &g.RWMutex }, func() (*ipc.RWMutex, error) { return ipc.NewRWMutex() },
		func(ctx context.Context, m *ipc.RWMutex) error {
			return errors.Join(m.RLock(ctx), m.RUnlock(), m.Lock(ctx), m.Unlock())
		}),
	newGift("RecursiveMutex", xsync.KindRecursive, func(g *given) **ipc.RecursiveMutex { return &g.Recursive }, func() (*ipc.RecursiveMutex, error) { return ipc.NewRecursiveMutex() },
		func(ctx context.Context, m *ipc.RecursiveMutex) error {
			h, err := m.Lock(ctx)
			if err == nil {
				err = h.Unlock()
			}
			return err
		}),
	closing(newGift("Cond", xsync.KindCond, func(g *given) **ipc.Cond { return &g.Cond }, newCond, useCond),
		func(g *gifted) error { return errors.Join(g.Cond.Close(), g.Cond.Mutex().Close()) }),
	newGift("Event", xsync.KindEvent, func(g *given) **ipc.Event { return &g.Event }, func() (*ipc.Event, error) { return ipc.NewEvent() },
		func(ctx context.Context, e *ipc.Event) error { return errors.Join(e.Clear(), e.Wait(ctx), e.Set()) }),
	newGift("Barrier", xsync.KindBarrier, func(g *given) **ipc.Barrier { return &g.Barrier }, func() (*ipc.Barrier, error) { return ipc.NewBarrier(2) }, useBarrier),
	newGift("Semaphore", xsync.KindSemaphore, func(g *given) **ipc.Semaphore { return &g.Semaphore }, func() (*ipc.Semaphore, error) { return ipc.NewSemaphore(2) },
		func(ctx context.Context, s *ipc.Semaphore) error { return errors.Join(s.Acquire(ctx), s.Release()) }),
	newGift("BoundedSemaphore", xsync.KindBounded, func(g *given) **ipc.BoundedSemaphore { return &g.Bounded }, func() (*ipc.BoundedSemaphore, error) { return ipc.NewBoundedSemaphore(2) },
		func(ctx context.Context, s *ipc.BoundedSemaphore) error {
			return errors.Join(s.Acquire(ctx), s.Release())
		}),
	newGift("WaitGroup", xsync.KindWaitGroup, func(g *given) **ipc.WaitGroup { return &g.WaitGroup }, func() (*ipc.WaitGroup, error) { return ipc.NewWaitGroup() },
		func(ctx context.Context, g *ipc.WaitGroup) error { return errors.Join(g.Add(1), g.Done(), g.Wait(ctx)) }),
	newGift("Once", xsync.KindOnce, func(g *given) **ipc.Once { return &g.Once }, func() (*ipc.Once, error) { return ipc.NewOnce() },
		func(ctx context.Context, o *ipc.Once) error {
			return o.Do(ctx, func() error { return errors.New("not yet") })
		}),
	newGift("Value", xsync.KindValue, func(g *given) **ipc.Value[int] { return &g.Value }, func() (*ipc.Value[int], error) { return ipc.NewValue(1) },
		func(ctx context.Context, v *ipc.Value[int]) error { _, err := v.Load(ctx); return err }),
	newGift("Atomic", xsync.KindAtomic, func(g *given) **ipc.Atomic[int64] { return &g.Atomic }, func() (*ipc.Atomic[int64], error) { return ipc.NewAtomic(int64(1)) },
		func(context.Context, *ipc.Atomic[int64]) error { return nil }),
	newGift("Array", xsync.KindData, func(g *given) **ipc.Array[int64] { return &g.Array }, func() (*ipc.Array[int64], error) { return ipc.NewArray[int64](512) },
		func(_ context.Context, a *ipc.Array[int64]) error { _, err := a.Copy(); return err }),
	closing(newGift("Queue", xsync.KindRing, func(g *given) **ipc.Queue[[]byte] { return &g.Queue }, func() (*ipc.Queue[[]byte], error) { return ipc.NewQueue[[]byte](ipc.Capacity(64)) }, useQueue),
		func(g *gifted) error { return g.Queue.Discard() }),
	{
		name: "Pipe", kind: xsync.KindPipe,
		make:  func(g *gifted) (err error) { g.Conn, g.peer, err = ipc.NewPipe[[]byte](); return err },
		wire:  func(*given) ([]byte, error) { return nil, nil },
		use:   usePipe,
		close: func(g *gifted) error { return errors.Join(g.peer.Close(), g.Conn.Close()) },
	},
	newGift("Slab", xsync.KindOwnership, func(g *given) **ipc.Slab[byte] { return &g.Slab }, func() (*ipc.Slab[byte], error) { return ipc.NewSlab[byte](4096) },
		func(context.Context, *ipc.Slab[byte]) error { return nil }),
	newGift("SharedMemory", xsync.KindData, func(g *given) **ipc.SharedMemory { return &g.Memory }, func() (*ipc.SharedMemory, error) {
		return ipc.NewSharedMemory(4096)
	}, func(_ context.Context, m *ipc.SharedMemory) error {
		return m.View(func(b []byte) error { _ = append([]byte(nil), b...); return nil })
	}),
}

func newCond() (*ipc.Cond, error) {
	m, err := ipc.NewMutex()
	if err != nil {
		return nil, err
	}
	return ipc.NewCond(m)
}

func useCond(ctx context.Context, c *ipc.Cond) error {
	if err := c.Mutex().Lock(ctx); err != nil {
		return err
	}
	return errors.Join(c.Wait(ctx), c.Mutex().Unlock(), c.Signal(), c.Broadcast())
}

// useBarrier makes both parties meet and resets the barrier.
func useBarrier(ctx context.Context, b *ipc.Barrier) error {
	other := make(chan error)
	go func() { _, err := b.Wait(ctx); other <- err }()
	_, err := b.Wait(ctx)
	return errors.Join(err, <-other, b.Reset())
}

func useQueue(ctx context.Context, q *ipc.Queue[[]byte]) error {
	err := q.Put(ctx, []byte("an element"))
	_, got := q.Get(ctx)
	return errors.Join(err, got)
}

func usePipe(ctx context.Context, g *gifted) error {
	err := g.peer.Send(ctx, []byte("a message"))
	_, got := g.peer.Recv(ctx)
	return errors.Join(err, got)
}

func giftOf(name string) (gift, error) {
	for _, g := range gifts {
		if g.name == name {
			return g, nil
		}
	}
	return gift{}, fmt.Errorf("there is no kind of object %q", name)
}

// newGiven creates an object of a kind, or none for "".
func newGiven(name string) (g gifted, err error) {
	if name == "" {
		return g, nil
	}
	kind, err := giftOf(name)
	if err != nil {
		return g, err
	}
	return g, kind.make(&g)
}
