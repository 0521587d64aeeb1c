//go:build linux

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

type guarded struct {
	Lock  *manager.Mutex
	Value *manager.Value[int]
	N     int
}

var incrementGuarded = mp.RegisterAction("incrementGuarded", func(ctx context.Context, g guarded) error {
	for range g.N {
		if err := g.Lock.Lock(ctx); err != nil {
			return err
		}
		v, err := g.Value.Load(ctx)
		err = errors.Join(err, g.Value.Store(ctx, v+1), g.Lock.Unlock(ctx))
		if err != nil {
			return err
		}
	}
	return nil
})

// M18: a Mutex excludes other processes.
func TestMutex(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	g := guarded{must(manager.NewMutex(ctx, m)), must(manager.NewValue(ctx, m, 0)), 50}
	if _, err := mp.Map(ctx, pool, incrementGuarded, []guarded{g, g, g, g}); err != nil {
		t.Fatal(err)
	}

	if v := must(g.Value.Load(ctx)); v != 200 {
		t.Error(v)
	}

	if err := g.Lock.Unlock(ctx); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}

	if ok, err := g.Lock.TryLock(ctx); !ok || err != nil {
		t.Error(ok, err)
	}
	if ok, err := g.Lock.TryLock(ctx); ok || err != nil {
		t.Error(ok, err)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := g.Lock.Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := g.Lock.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if err := g.Lock.Lock(ctx); err != nil { // no waiter that has given up is ahead in the queue
		t.Error(err)
	}
	if st := stats(t, m); st.Waiting != 0 {
		t.Error(st)
	}
}

type holding struct {
	Lock    *manager.Mutex
	RW      *manager.RWMutex
	Bounded *manager.BoundedSemaphore
	Has     *manager.Event
	Barrier *manager.Barrier
}

// dieHolding takes all locks and permits, says so, and dies while it waits at a barrier.
var dieHolding = mp.RegisterAction("dieHolding", func(ctx context.Context, h holding) error {
	err := errors.Join(h.Lock.Lock(ctx), h.RW.RLock(ctx), h.Bounded.Acquire(ctx), h.Bounded.Acquire(ctx))
	if err != nil {
		return err
	}
	go func() { _, _ = h.Barrier.Wait(ctx) }()
	for {
		if st, err := h.Barrier.State(ctx); err != nil || st.Waiting > 0 {
			break
		}
	}
	_ = h.Has.Set(ctx)
	<-ctx.Done()
	os.Exit(3)
	return nil
})

// If a process dies, others get its permits and read locks as if it had released them. Others get
// its write lock after a process has repaired what the lock guards. The barrier at which the dead
// process waited breaks.
func TestDeadClient(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	h := holding{
		must(manager.NewMutex(ctx, m)), must(manager.NewRWMutex(ctx, m)), must(manager.NewBoundedSemaphore(ctx, m, 3)),
		must(manager.NewEvent(ctx, m)), must(manager.NewBarrier(ctx, m, 2)),
	}

	p, err := mp.NewProcess(dieHolding, h, mp.ProcessConfig{})
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}

	if err := h.Has.Wait(ctx); err != nil {
		t.Fatal(err)
	}

	if ok := must(h.Lock.TryLock(ctx)); ok {
		t.Error("two have the lock")
	}

	if ok := must(h.RW.TryLock(ctx)); ok {
		t.Error("one reads, and one writes")
	}

	var waits sync.WaitGroup
	waits.Go(func() {
		if err := h.Lock.Lock(ctx); !errors.Is(err, ipc.ErrOwnerDied) {
			t.Error(err)
		}
	})

	waits.Go(func() {
		if err := errors.Join(h.RW.Lock(ctx), h.RW.Unlock(ctx)); err != nil {
			t.Error(err)
		}
	})
	until(t, "both wait", func() bool { return stats(t, m).Waiting == 3 })
	_ = p.Kill()
	waits.Wait()
	if n := must(h.Bounded.Available(ctx)); n != 3 {
		t.Error(n, "permits")
	}
	if st := must(h.Barrier.State(ctx)); !st.Broken {
		t.Error(st)
	}
	if _, err := h.Lock.TryLock(ctx); !errors.Is(err, ipc.ErrOwnerDied) {
		t.Error(err)
	}
	failing := errors.New("not repaired")
	if err := h.Lock.Recover(ctx, func() error { return failing }); !errors.Is(err, failing) {
		t.Error(err)
	}
	if err := h.Lock.Lock(ctx); !errors.Is(err, ipc.ErrOwnerDied) {
		t.Error(err)
	}
	calls := 0
	for range 2 {
		if err := h.Lock.Recover(ctx, func() error { calls++; return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := h.Lock.Lock(ctx); err != nil || calls != 1 {
		t.Error(err, calls)
	}
	_, _ = p.Wait(ctx)
}

// M18: an RWMutex has several readers or one writer; semaphores have permits; a RecursiveMutex can
// be locked again.
func TestLocks(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	rw := must(manager.NewRWMutex(ctx, m))
	for range 2 {
		if err := rw.RLock(ctx); err != nil {
			t.Fatal(err)
		}
	}

	if must(rw.TryLock(ctx)) || !must(rw.TryRLock(ctx)) {
		t.Error("read by two")
	}

	for range 3 {
		_ = rw.RUnlock(ctx)
	}

	if err := rw.RUnlock(ctx); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}

	if err := rw.Lock(ctx); err != nil || must(rw.TryRLock(ctx)) {
		t.Error(err, "written and read")
	}

	if err := errors.Join(rw.Unlock(ctx), rw.Recover(ctx, func() error { return errors.New("nothing is to be repaired") })); err != nil {
		t.Error(err)
	}

	s := must(manager.NewSemaphore(ctx, m, 1))
	if err := s.Acquire(ctx); err != nil || must(s.TryAcquire(ctx)) {
		t.Error(err)
	}
	waits := make(chan error)
	go func() { waits <- s.Acquire(ctx) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	_ = s.Release(ctx)
	if err := <-waits; err != nil {
		t.Error(err)
	}
	_ = s.Release(ctx)
	_ = s.Release(ctx)
	if n := must(s.Available(ctx)); n != 2 {
		t.Error(n)
	}
	b := must(manager.NewBoundedSemaphore(ctx, m, 1))
	if err := b.Release(ctx); !errors.Is(err, ipc.ErrOverRelease) {
		t.Error(err)
	}
	if err := errors.Join(b.Acquire(ctx), b.Release(ctx)); err != nil {
		t.Error(err)
	}
	r := must(manager.NewRecursiveMutex(ctx, m))
	held := must(r.Lock(ctx))
	if err := held.Lock(); err != nil || must(r.TryLock(ctx)) != nil {
		t.Error(err)
	}
	_ = held.Unlock(ctx)
	if must(r.TryLock(ctx)) != nil {
		t.Error("unlocked by half")
	}
	_ = held.Unlock(ctx)
	if err := held.Unlock(ctx); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}
	if err := held.Lock(); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}
	if h := must(r.TryLock(ctx)); h == nil {
		t.Error("not free")
	}
}

// M18: conditions, events, barriers and wait groups work as documented.
func TestWaiting(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	lock := must(manager.NewMutex(ctx, m))
	c := must(manager.NewCond(ctx, m, lock))
	if err := c.Wait(ctx); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}

	if err := c.Signal(ctx); !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}

	ready := must(manager.NewValue(ctx, m, false))
	woken := make(chan error)
	for range 3 {
		go func() {
			err := lock.Lock(ctx)
			if err == nil {
				err = c.WaitFor(ctx, func() bool { return must(ready.Load(ctx)) })
			}
			woken <- errors.Join(err, lock.Unlock(ctx))
		}()
	}

	until(t, "all wait", func() bool { return stats(t, m).Waiting == 3 && must(lock.TryLock(ctx)) })
	_ = ready.Store(ctx, true)
	if err := errors.Join(c.Signal(ctx), lock.Unlock(ctx), <-woken); err != nil {
		t.Error(err)
	}

	if n := stats(t, m).Waiting; n != 2 {
		t.Error(n, "wait after one signal")
	}

	if err := errors.Join(lock.Lock(ctx), c.Broadcast(ctx), lock.Unlock(ctx), <-woken, <-woken); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_ = lock.Lock(ctx)
	if err := c.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := lock.Unlock(ctx); err != nil { // succeeds, since the lock is held again
		t.Error(err)
	}

	e := must(manager.NewEvent(ctx, m))
	if err := e.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	why := errors.New("enough")
	ended, end := context.WithCancelCause(ctx)
	go func() { woken <- e.Wait(ended) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	end(why)
	for _, err := range []error{<-woken, e.Wait(ended)} {
		if !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v: not both the cause and the context's error", err)
		}
	}
	go func() { woken <- e.Wait(ctx) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	if err := errors.Join(e.Set(ctx), <-woken, e.Wait(ctx)); err != nil || !must(e.IsSet(ctx)) {
		t.Error(err)
	}
	if err := e.Clear(ctx); err != nil || must(e.IsSet(ctx)) {
		t.Error(err)
	}

	g := must(manager.NewWaitGroup(ctx, m))
	if err := errors.Join(g.Wait(ctx), g.Add(ctx, 2), g.Done(ctx)); err != nil {
		t.Error(err)
	}
	go func() { woken <- g.Wait(ctx) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	if err := errors.Join(g.Done(ctx), <-woken); err != nil || must(g.Count(ctx)) != 0 {
		t.Error(err)
	}
	if err := g.Done(ctx); !errors.Is(err, ipc.ErrOverRelease) {
		t.Error(err)
	}
}

// M18: either all parties pass a barrier together after the action, each with an index of its own,
// or the barrier breaks.
func TestBarrier(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{})
	b := must(manager.NewBarrier(ctx, m, 3))
	for round := range 3 {
		var mu sync.Mutex
		seen, acted := map[int]bool{}, 0
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				i, err := b.WaitDo(ctx, func() error {
					mu.Lock()
					defer mu.Unlock()
					acted++
					if len(seen) > 0 {
						t.Error("somebody has passed before the action")
					}
					return nil
				})
				mu.Lock()
				defer mu.Unlock()
				seen[i] = true
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(seen) != 3 || acted != 1 {
			t.Error(round, seen, acted)
		}
	}

	failing := errors.New("no")
	errs := make(chan error, 3)
	for range 3 {
		go func() { _, err := b.WaitDo(ctx, func() error { return failing }); errs <- err }()
	}

	broken, failed := 0, 0
	for range 3 {
		switch err := <-errs; {
		case errors.Is(err, failing):
			failed++
		case errors.Is(err, ipc.ErrBroken):
			broken++
		}
	}
	if broken != 2 || failed != 1 {
		t.Error(broken, failed)
	}

	if _, err := b.Wait(ctx); !errors.Is(err, ipc.ErrBroken) {
		t.Error(err)
	}

	_ = b.Reset(ctx)
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := b.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}

	if st := must(b.State(ctx)); !st.Broken || st.Parties != 3 || st.Waiting != 0 {
		t.Error(st)
	}

	_ = b.Reset(ctx)
	go func() { _, err := b.Wait(ctx); errs <- err }()
	until(t, "it waits", func() bool { return must(b.State(ctx)).Waiting == 1 })
	if err := errors.Join(b.Abort(ctx)); err != nil {
		t.Error(err)
	}

	if err := <-errs; !errors.Is(err, ipc.ErrBroken) {
		t.Error(err)
	}
}

type feeding struct {
	Queue *manager.Queue[int]
	From  int
}

var feed = mp.RegisterAction("feed", func(ctx context.Context, f feeding) error {
	for i := range 100 {
		if err := f.Queue.Put(ctx, f.From+i); err != nil {
			return err
		}
	}
	return nil
})

// A queue gives each element to one receiver, keeps each producer's elements in order, makes
// callers wait for room and for elements, and loses nothing when a caller gives up.
func TestQueue(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	q := must(manager.NewQueue[int](ctx, m, 5))
	done := make(chan error, 1)
	go func() {
		_, err := mp.Map(ctx, pool, feed, []feeding{{q, 1000}, {q, 2000}})
		done <- errors.Join(err, q.CloseSend(ctx))
	}()

	last := map[int]int{}
	n := 0
	for v, err := range q.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if v <= last[v/1000] {
			t.Error("out of order: ", v)
		}
		last[v/1000] = v
		n++
		if err := q.TaskDone(ctx); err != nil {
			t.Error(err)
		}
	}

	if err := errors.Join(<-done, q.Join(ctx)); err != nil || n != 200 {
		t.Error(n, err)
	}

	if err := q.Put(ctx, 1); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}

	if _, err := q.TryGet(ctx); !errors.Is(err, mp.ErrClosed) {
		t.Error(err)
	}

	if err := q.TaskDone(ctx); !errors.Is(err, ipc.ErrOverRelease) {
		t.Error(err)
	}

	q = must(manager.NewQueue[int](ctx, m, 1))
	if _, err := q.TryGet(ctx); !errors.Is(err, ipc.ErrEmpty) {
		t.Error(err)
	}

	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := q.Get(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := q.TryPut(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := q.TryPut(ctx, 2); !errors.Is(err, ipc.ErrFull) {
		t.Error(err)
	}
	over, stop := context.WithCancel(ctx)
	go func() { done <- q.Put(over, 3) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if v := must(q.Get(ctx)); v != 1 || must(q.Len(ctx)) != 0 {
		t.Error(v)
	}
	bytes := stats(t, m).Bytes
	for i := range 100 {
		over, stop := context.WithCancel(ctx)
		got := make(chan string, 1)
		go func() {
			v, err := q.Get(over)
			got <- fmt.Sprint(v, err)
		}()
		go stop()
		_ = q.Put(ctx, i)
		if s := <-got; s != fmt.Sprint(i, nil) {
			if v := must(q.Get(ctx)); v != i {
				t.Fatal(s, v)
			}
		}
	}

	if now := stats(t, m).Bytes; now != bytes {
		t.Error(bytes, now)
	}
}

// A canceled Put releases its element: the element's bytes, and the objects in it.
func TestCancelledPut(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m := start(t, manager.Config{})
	q := must(manager.NewQueue[*manager.Value[string]](ctx, m, 1))
	first := must(manager.NewValue(ctx, m, "first"))
	if err := q.Put(ctx, first); err != nil {
		t.Fatal(err)
	}

	before := stats(t, m)
	second := must(manager.NewValue(ctx, m, "second"))
	over, cancel := context.WithCancel(ctx)
	put := make(chan error)
	go func() { put <- q.Put(over, second) }()
	until(t, "it waits", func() bool { return stats(t, m).Waiting == 1 })
	cancel()
	if err := <-put; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	_ = second.Close()
	if st := stats(t, m); st.Objects != before.Objects || st.Bytes != before.Bytes {
		t.Error(st, before)
	}
	_ = m.Close()
}
