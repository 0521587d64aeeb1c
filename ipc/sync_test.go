//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
)

// These tests check, for each kind of object, that processes can use it to wait for each other. The
// tests of internal/xsync check every step.

type party struct {
	Barrier *ipc.Barrier
	Lock    *ipc.Mutex
	Cond    *ipc.Cond
	RW      *ipc.RWMutex
	Bounded *ipc.BoundedSemaphore
	Once    *ipc.Once
	Group   *ipc.WaitGroup
	Event   *ipc.Event
	Seen    *ipc.Array[int]
	N       int
}

const parties = 3

func newParty(t *testing.T) party {
	t.Helper()
	p := party{
		Barrier: must(ipc.NewBarrier(parties)), Lock: newMutex(t), RW: must(ipc.NewRWMutex()), Bounded: must(ipc.NewBoundedSemaphore(2)),
		Once: must(ipc.NewOnce()), Group: must(ipc.NewWaitGroup()), Event: newEvent(t), Seen: newArray[int](t, 64),
	}
	p.Cond = must(ipc.NewCond(p.Lock))
	for _, o := range []interface{ Close() error }{p.Barrier, p.RW, p.Bounded, p.Once, p.Group, p.Cond} {
		t.Cleanup(func() { _ = o.Close() })
	}
	return p
}

// together runs f in one process for each party at the same time, and returns the results.
func together[Out any](t *testing.T, p party, f *mp.Func[party, Out]) []Out {
	t.Helper()
	pool := newPool(t, mp.PoolConfig{Workers: parties})
	var futures []*mp.Future[Out]
	for i := range parties {
		p.N = i
		futures = append(futures, mp.Submit(t.Context(), pool, f, p))
	}

	var all []Out
	for _, f := range futures {
		out, err := f.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out)
	}
	return all
}

// S21 S22 S24 S25: inStep passes the barrier ten times in step with the other parties. In each
// pass, one party has index 0, and the function given to WaitDo runs before any party goes on.
var inStep = mp.Register("inStep", func(ctx context.Context, p party) (zeros int, err error) {
	s := p.Seen.Slice()
	for pass := range 10 {
		s[p.N] = pass
		index, err := p.Barrier.WaitDo(ctx, func() error { s[parties] = pass; return nil })
		if err != nil {
			return 0, err
		}
		if index == 0 {
			zeros++
		}
		for i := range parties + 1 {
			if s[i] != pass {
				return 0, fmt.Errorf("pass %d: party %d is in %d", pass, i, s[i])
			}
		}
		if _, err := p.Barrier.Wait(ctx); err != nil {
			return 0, err
		}
	}

	return zeros, nil
})

func TestBarrierOfProcesses(t *testing.T) {
	zeros := 0
	for _, n := range together(t, newParty(t), inStep) {
		zeros += n
	}
	if zeros != 10 {
		t.Errorf("index 0 %d times in 10 passes", zeros)
	}
}

// S9 S10 S16: takeTurns counts up when it is its party's turn, and uses Broadcast to wake the other
// parties.
var takeTurns = mp.Register("takeTurns", func(ctx context.Context, p party) (turns int, err error) {
	if err := p.Lock.Lock(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Lock.Unlock()) }()
	s := p.Seen.Slice()
	for s[0] < 300 {
		if err := p.Cond.WaitFor(ctx, func() bool { return s[0]%parties == p.N || s[0] >= 300 }); err != nil {
			return 0, err
		}
		if s[0] < 300 {
			s[0]++
			turns++
		}
		if err := p.Cond.Broadcast(); err != nil {
			return 0, err
		}
	}

	return turns, nil
})

// S4: the holder of a RecursiveMutex can lock it again. One Unlock too many, or an Unlock by an
// earlier holder, is an error and changes nothing.
func TestRecursiveMutexNests(t *testing.T) {
	lock := must(ipc.NewRecursiveMutex())
	defer lock.Close()

	held, err := lock.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	pool := newPool(t, mp.PoolConfig{Workers: 1})
	taken := func() bool {
		t.Helper()
		got, err := mp.Call(t.Context(), pool, tryRecursive, lock)
		if err != nil {
			t.Error(err)
		}
		return !got
	}
	if err := held.Lock(); err != nil {
		t.Error(err)
	}
	for unlocks := range 2 {
		if !taken() {
			t.Errorf("after %d of 2 Unlocks another process has got it", unlocks)
		}
		if err := held.Unlock(); err != nil {
			t.Error(err)
		}
	}

	if err := held.Unlock(); !errors.Is(err, ipc.ErrNotHeld) {
		t.Errorf("one Unlock too many: %v", err)
	}
	if err := held.Lock(); !errors.Is(err, ipc.ErrNotHeld) {
		t.Errorf("Lock of what is held no more: %v", err)
	}
	if taken() {
		t.Error("after the last Unlock nobody else has got it")
	}

	// An earlier holder's Held cannot unlock the lock.
	other, err := lock.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Unlock(); !errors.Is(err, ipc.ErrNotHeld) || !taken() {
		t.Errorf("an old holder unlocks: %v", err)
	}
	if err := other.Unlock(); err != nil {
		t.Error(err)
	}
}

// tryRecursive reports whether it was able to take the lock.
var tryRecursive = mp.Register("tryRecursive", func(_ context.Context, lock *ipc.RecursiveMutex) (bool, error) {
	held, err := lock.TryLock()
	if err != nil || held == nil {
		return false, err
	}
	return true, held.Unlock()
})

func TestCondOfProcesses(t *testing.T) {
	if turns := together(t, newParty(t), takeTurns); !slices.Equal(turns, []int{100, 100, 100}) {
		t.Errorf("turns %v", turns)
	}
}

// S20: askAnswer waits for one event and sets another, again and again.
var askAnswer = mp.Register("askAnswer", func(ctx context.Context, e [2]*ipc.Event) (int, error) {
	for i := range 200 {
		if err := e[0].Wait(ctx); err != nil {
			return i, err
		}
		if err := errors.Join(e[0].Clear(), e[1].Set()); err != nil {
			return i, err
		}
	}
	return 200, nil
})

func TestEventOfProcesses(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	e := [2]*ipc.Event{newEvent(t), newEvent(t)}
	answers := mp.Submit(t.Context(), pool, askAnswer, e)
	for range 200 {
		if err := errors.Join(e[0].Set(), e[1].Wait(t.Context()), e[1].Clear()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := answers.Result(t.Context()); n != 200 || err != nil {
		t.Error(n, err)
	}
}

// useAllLocks checks that readers never see half of a write, and that there are never too many
// permits. It returns how often the Once called the function.
var useAllLocks = mp.Register("useAllLocks", func(ctx context.Context, p party) (did int, err error) {
	s := p.Seen.Slice()
	if err := p.Once.Do(ctx, func() error { did++; return nil }); err != nil {
		return 0, err
	}

	for i := range 3000 {
		if i%10 == 0 {
			if err := p.RW.Lock(ctx); err != nil {
				return 0, err
			}
			s[0]++
			s[1]++
			if err := p.RW.Unlock(); err != nil {
				return 0, err
			}
		}

		if err := p.RW.RLock(ctx); err != nil {
			return 0, err
		}
		a, b := s[0], s[1]
		if err := p.RW.RUnlock(); err != nil {
			return 0, err
		}
		if a != b {
			return 0, fmt.Errorf("read %d and %d", a, b)
		}
		if err := p.Bounded.Acquire(ctx); err != nil {
			return 0, err
		}
		if free, err := p.Bounded.Available(); free > 1 || err != nil {
			return 0, fmt.Errorf("%d free, %w", free, err)
		}
		if err := p.Bounded.Release(); err != nil {
			return 0, err
		}
	}

	return did, p.Group.Done()
})

func TestLocksOfProcesses(t *testing.T) {
	p := newParty(t)
	if err := p.Group.Add(parties); err != nil {
		t.Fatal(err)
	}
	did := 0
	for _, n := range together(t, p, useAllLocks) {
		did += n
	}
	if err := p.Group.Wait(t.Context()); err != nil || did != 1 {
		t.Error(err, did)
	}
	if s := p.Seen.Slice(); s[0] != 900 || s[1] != 900 {
		t.Errorf("written %v", s[:2])
	}
}

// holdAll takes everything that can be held, and waits to be killed.
var holdAll = mp.Register("holdAll", func(ctx context.Context, p party) (int, error) {
	if err := errors.Join(p.RW.RLock(ctx), p.Bounded.Acquire(ctx), p.Bounded.Acquire(ctx)); err != nil {
		return 0, err
	}
	go func() { _, _ = p.Barrier.Wait(context.Background()) }()
	return 0, p.Once.Do(ctx, func() error {
		for n := 0; n == 0; n, _ = p.Barrier.Waiting() {
			continue
		}
		_ = p.Event.Set()
		select {}
	})
})

// S6: when a process dies, waiting processes get its permits, its read lock and its turn at a Once.
// If it was waiting at a barrier, the barrier breaks.
func TestTheDeadHoldNothing(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	for range 5 {
		p := newParty(t)
		task := mp.Submit(t.Context(), pool, holdAll, p)
		if err := p.Event.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}

		done := make(chan error, 4)
		once := false
		go func() { done <- p.Bounded.Acquire(t.Context()) }()
		go func() { done <- p.RW.Lock(t.Context()) }()
		go func() { done <- p.Once.Do(t.Context(), func() error { once = true; return nil }) }()
		go func() {
			_, err := p.Barrier.Wait(t.Context())
			if errors.Is(err, ipc.ErrBroken) {
				err = nil
			}
			done <- err
		}()
		if err := syscall.Kill(pool.Workers()[0].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}

		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}

		if free, err := p.Bounded.Available(); free != 1 || err != nil || !once {
			t.Error(free, err, once)
		}
		if _, err := task.Result(t.Context()); err == nil {
			t.Error("a killed task has a result")
		}
	}
}

// S8 S13 S18 S28: a wait ends when its context ends, not before, and returns the context's error.
func TestWaitsEnd(t *testing.T) {
	p := newParty(t)
	held := newMutex(t)
	empty := must(ipc.NewSemaphore(0))
	defer empty.Close()
	never := newEvent(t)

	if err := errors.Join(held.Lock(t.Context()), p.RW.Lock(t.Context()), p.Group.Add(1), p.Bounded.Acquire(t.Context()), p.Bounded.Acquire(t.Context())); err != nil {
		t.Fatal(err)
	}

	waits := map[string]func(context.Context) error{
		"Mutex": held.Lock, "RWMutex": p.RW.Lock, "RLock": p.RW.RLock, "Semaphore": empty.Acquire, "Bounded": p.Bounded.Acquire,
		"Event": never.Wait, "WaitGroup": p.Group.Wait,
		"Barrier": func(ctx context.Context) error { return errOf(p.Barrier.Wait(ctx)) },
		"Cond": func(ctx context.Context) error {
			if err := p.Lock.Lock(context.Background()); err != nil {
				return err
			}
			err := p.Cond.Wait(ctx)
			if e := p.Lock.Unlock(); e != nil {
				return fmt.Errorf("the lock is not held: %w", e)
			}
			return err
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			_ = p.Barrier.Reset()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- wait(ctx) }()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			_ = p.Barrier.Reset()
			const time10 = 10 * time.Millisecond
			began := time.Now()
			ctx, cancel = context.WithTimeout(t.Context(), time10)
			defer cancel()
			if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) < time10 {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			_ = p.Barrier.Reset()
			if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) { // the deadline has passed
				t.Error(err)
			}
		})
	}
}
