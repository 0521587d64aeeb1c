//go:build linux

package attacks

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// given is the object that the attacker was given, if any.
type given struct {
	Mutex     *mp.Mutex
	RWMutex   *mp.RWMutex
	Recursive *mp.RecursiveMutex
	Cond      *mp.Cond
	Event     *mp.Event
	Barrier   *mp.Barrier
	Semaphore *mp.Semaphore
	Bounded   *mp.BoundedSemaphore
	WaitGroup *mp.WaitGroup
	Once      *mp.Once
	Value     *mp.Value[int]
	Atomic    *mp.Atomic[int64]
	Array     *mp.Array[int64]
	Queue     *mp.Queue[[]byte]
	Conn      *mp.Conn[[]byte]
	Slab      *mp.Slab[byte]
	Memory    *mp.SharedMemory
}

// gifted is main's side of a given object.
type gifted struct {
	given
	peer *mp.Conn[[]byte] // the end of a pipe that main keeps
}

// A gift is a kind of object to give to an attacker.
type gift struct {
	name string
	kind xsync.Kind
	make func(g *gifted) error
	wire func(g *given) ([]byte, error)
	// use uses the object in main while it is attacked. It may fail, but must return soon after ctx
	// ends.
	use   func(ctx context.Context, g *gifted) error
	close func(g *gifted) error
}

// shared is an object of mp.
type shared interface {
	MarshalBinary() ([]byte, error)
	Close() error
}

// newGift makes a gift from a constructor and the field for its object.
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

// closing returns the gift g with another close function.
func closing(g gift, end func(g *gifted) error) gift {
	g.close = end
	return g
}

func noConfig() mp.ObjectConfig { return mp.ObjectConfig{} }

// gifts has a gift of each kind.
var gifts = []gift{
	newGift("Mutex", xsync.KindMutex, func(g *given) **mp.Mutex { return &g.Mutex }, func() (*mp.Mutex, error) { return mp.NewMutex(noConfig()) },
		func(ctx context.Context, m *mp.Mutex) error { return errors.Join(m.Lock(ctx), m.Unlock()) }),
	newGift("RWMutex", xsync.KindRWMutex, func(g *given) **mp.RWMutex { return &g.RWMutex }, func() (*mp.RWMutex, error) { return mp.NewRWMutex(noConfig()) },
		func(ctx context.Context, m *mp.RWMutex) error {
			return errors.Join(m.RLock(ctx), m.RUnlock(), m.Lock(ctx), m.Unlock())
		}),
	newGift("RecursiveMutex", xsync.KindRecursive, func(g *given) **mp.RecursiveMutex { return &g.Recursive }, func() (*mp.RecursiveMutex, error) { return mp.NewRecursiveMutex(noConfig()) },
		func(ctx context.Context, m *mp.RecursiveMutex) error {
			h, err := m.Lock(ctx)
			if err == nil {
				err = h.Unlock()
			}
			return err
		}),
	closing(newGift("Cond", xsync.KindCond, func(g *given) **mp.Cond { return &g.Cond }, newCond, useCond),
		func(g *gifted) error { return errors.Join(g.Cond.Close(), g.Cond.Mutex().Close()) }),
	newGift("Event", xsync.KindEvent, func(g *given) **mp.Event { return &g.Event }, func() (*mp.Event, error) { return mp.NewEvent(noConfig()) },
		func(ctx context.Context, e *mp.Event) error { return errors.Join(e.Clear(), e.Wait(ctx), e.Set()) }),
	newGift("Barrier", xsync.KindBarrier, func(g *given) **mp.Barrier { return &g.Barrier }, func() (*mp.Barrier, error) { return mp.NewBarrier(2, noConfig()) }, useBarrier),
	newGift("Semaphore", xsync.KindSemaphore, func(g *given) **mp.Semaphore { return &g.Semaphore }, func() (*mp.Semaphore, error) { return mp.NewSemaphore(2, noConfig()) },
		func(ctx context.Context, s *mp.Semaphore) error { return errors.Join(s.Acquire(ctx), s.Release()) }),
	newGift("BoundedSemaphore", xsync.KindBounded, func(g *given) **mp.BoundedSemaphore { return &g.Bounded }, func() (*mp.BoundedSemaphore, error) { return mp.NewBoundedSemaphore(2, noConfig()) },
		func(ctx context.Context, s *mp.BoundedSemaphore) error {
			return errors.Join(s.Acquire(ctx), s.Release())
		}),
	newGift("WaitGroup", xsync.KindWaitGroup, func(g *given) **mp.WaitGroup { return &g.WaitGroup }, func() (*mp.WaitGroup, error) { return mp.NewWaitGroup(noConfig()) },
		func(ctx context.Context, g *mp.WaitGroup) error { return errors.Join(g.Add(1), g.Done(), g.Wait(ctx)) }),
	newGift("Once", xsync.KindOnce, func(g *given) **mp.Once { return &g.Once }, func() (*mp.Once, error) { return mp.NewOnce(noConfig()) },
		func(ctx context.Context, o *mp.Once) error {
			return o.Do(ctx, func() error { return errors.New("not yet") })
		}),
	newGift("Value", xsync.KindValue, func(g *given) **mp.Value[int] { return &g.Value }, func() (*mp.Value[int], error) { return mp.NewValue(1, mp.ValueConfig{}) },
		func(ctx context.Context, v *mp.Value[int]) error { _, err := v.Load(ctx); return err }),
	newGift("Atomic", xsync.KindAtomic, func(g *given) **mp.Atomic[int64] { return &g.Atomic }, func() (*mp.Atomic[int64], error) { return mp.NewAtomic(int64(1), noConfig()) },
		func(context.Context, *mp.Atomic[int64]) error { return nil }),
	newGift("Array", xsync.KindData, func(g *given) **mp.Array[int64] { return &g.Array }, func() (*mp.Array[int64], error) { return mp.NewArray[int64](512, noConfig()) },
		func(_ context.Context, a *mp.Array[int64]) error { _, err := a.Copy(); return err }),
	closing(newGift("Queue", xsync.KindRing, func(g *given) **mp.Queue[[]byte] { return &g.Queue }, func() (*mp.Queue[[]byte], error) { return mp.NewQueue[[]byte](mp.QueueConfig{Cap: 64}) }, useQueue),
		func(g *gifted) error { return g.Queue.Discard() }),
	{
		name: "Pipe", kind: xsync.KindPipe,
		make:  func(g *gifted) (err error) { g.Conn, g.peer, err = mp.NewPipe[[]byte](mp.PipeConfig{}); return err },
		wire:  func(*given) ([]byte, error) { return nil, nil },
		use:   usePipe,
		close: func(g *gifted) error { return errors.Join(g.peer.Close(), g.Conn.Close()) },
	},
	newGift("Slab", xsync.KindHeld, func(g *given) **mp.Slab[byte] { return &g.Slab }, func() (*mp.Slab[byte], error) { return mp.NewSlab[byte](4096) },
		func(context.Context, *mp.Slab[byte]) error { return nil }),
	newGift("SharedMemory", xsync.KindData, func(g *given) **mp.SharedMemory { return &g.Memory }, func() (*mp.SharedMemory, error) {
		return mp.NewSharedMemory(4096, mp.SharedMemoryConfig{})
	}, func(_ context.Context, m *mp.SharedMemory) error {
		return m.View(func(b []byte) error { _ = append([]byte(nil), b...); return nil })
	}),
}

func newCond() (*mp.Cond, error) {
	m, err := mp.NewMutex(noConfig())
	if err != nil {
		return nil, err
	}
	return mp.NewCond(m, noConfig())
}

func useCond(ctx context.Context, c *mp.Cond) error {
	if err := c.Mutex().Lock(ctx); err != nil {
		return err
	}
	return errors.Join(c.Wait(ctx), c.Mutex().Unlock(), c.Signal(), c.Broadcast())
}

// useBarrier makes both parties meet and resets the barrier.
func useBarrier(ctx context.Context, b *mp.Barrier) error {
	other := make(chan error)
	go func() { _, err := b.Wait(ctx); other <- err }()
	_, err := b.Wait(ctx)
	return errors.Join(err, <-other, b.Reset())
}

func useQueue(ctx context.Context, q *mp.Queue[[]byte]) error {
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

// newGiven makes an object of a kind, or none for "".
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
