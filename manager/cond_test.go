//go:build linux

package manager_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager"
	"github.com/go-multiprocessing/mp/mptest"
)

// sharedCond returns a manager and a remote client of that manager, a Mutex that both have, and a
// Cond for the Mutex.
func sharedCond(ctx context.Context, t *testing.T) (m, far *manager.Manager, lock, other *manager.Mutex, c *manager.Cond) {
	t.Helper()
	m, _ = remote(t, manager.Config{})
	far = dial(t, m)
	lock, other = must(manager.NewMutex(ctx, m, manager.Named("lock"))), must(manager.NewMutex(ctx, far, manager.Named("lock")))
	return m, far, lock, other, must(manager.NewCond(ctx, m, lock))
}

// condWait locks the Mutex, calls before, and returns the error of a Wait whose context ends.
func condWait(t *testing.T, lock *manager.Mutex, c *manager.Cond, before func()) error {
	t.Helper()
	if err := lock.Lock(soon(t)); err != nil {
		t.Fatal(err)
	}
	before()
	ctx, cancel := context.WithTimeout(soon(t), 50*time.Millisecond)
	defer cancel()
	return c.Wait(ctx)
}

// Wait returns soon after its context has ended, even if the manager is stopped. In that case, the
// Mutex is not held. When the manager gives the Mutex back later, the Mutex is released, even in a
// process that only received the Cond.
func TestCondOfStoppedManager(t *testing.T) {
	defer manager.Relocking(10 * time.Millisecond)()
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, far, lock, other, c := sharedCond(ctx, t)
	err := condWait(t, lock, c, func() { stop(t, m.PID()) })
	if !errors.Is(err, ipc.ErrNotHeld) || errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}

	_ = syscall.Kill(m.PID(), syscall.SIGCONT)
	if err := other.Lock(ctx); err != nil {
		t.Error("the Mutex was not given up: ", err)
	}

	if err := errors.Join(other.Unlock(ctx), lock.Lock(ctx), lock.Unlock(ctx)); err != nil {
		t.Error(err)
	}
	_, _ = far.Close(), m.Close()
}

// Wait also returns if another client keeps the Mutex for longer than Wait waits. If the other
// client releases it in time, Wait returns the context's error, with the Mutex held.
func TestCondOfKeptMutex(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, far, lock, other, c := sharedCond(ctx, t)
	for _, kept := range []bool{true, false} {
		back := func() {}
		if kept {
			back = manager.Relocking(time.Millisecond)
		}

		has := make(chan error, 1)
		short, cancel := context.WithCancel(ctx)
		over := make(chan error, 1)
		if err := lock.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		go func() { has <- other.Lock(ctx) }()
		go func() { over <- c.Wait(short) }()
		if err := <-has; err != nil { // Wait has released the Mutex
			t.Fatal(err)
		}
		cancel()
		if kept {
			if err := <-over; !errors.Is(err, ipc.ErrNotHeld) || errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if err := other.Unlock(ctx); err != nil {
			t.Error(err)
		}

		if !kept {
			if err := <-over; !errors.Is(err, context.Canceled) || errors.Is(err, ipc.ErrNotHeld) {
				t.Error(err)
			}
			if err := lock.Unlock(ctx); err != nil {
				t.Error(err)
			}
		}

		if err := errors.Join(other.Lock(ctx), other.Unlock(ctx)); err != nil {
			t.Error(err)
		}
		back()
	}

	_, _ = far.Close(), m.Close()
}

// A signal that reaches a client that no longer waits for the Mutex is passed on to another client.
func TestCondGivesSignalOn(t *testing.T) {
	defer manager.Relocking(time.Millisecond)()
	mptest.NoLeaks(t)
	ctx := soon(t)
	m, _ := remote(t, manager.Config{})
	far := dial(t, m)
	lock := must(manager.NewMutex(ctx, m, manager.Named("lock")))
	c := must(manager.NewCond(ctx, m, lock, manager.Named("cond")))
	otherLock := must(manager.NewMutex(ctx, far, manager.Named("lock")))
	other := must(manager.NewCond(ctx, far, otherLock, manager.Named("cond")))
	short, cancel := context.WithCancel(ctx)
	first, second := make(chan error, 1), make(chan error, 1)
	if err := lock.Lock(ctx); err != nil {
		t.Fatal(err)
	}

	go func() { first <- c.Wait(short) }()
	if err := otherLock.Lock(ctx); err != nil { // the first Wait has begun
		t.Fatal(err)
	}

	go func() { second <- errors.Join(lock.Lock(ctx), c.Wait(ctx), lock.Unlock(ctx)) }()
	if err := otherLock.Unlock(ctx); err != nil {
		t.Fatal(err)
	}

	until(t, "both wait for a signal", func() bool {
		if err := otherLock.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		if stats(t, m).Waiting == 2 {
			return true
		}
		return otherLock.Unlock(ctx) != nil
	})

	if err := other.Signal(ctx); err != nil { // the first Wait now waits for the Mutex
		t.Error(err)
	}
	cancel()
	if err := <-first; !errors.Is(err, ipc.ErrNotHeld) {
		t.Error(err)
	}
	if err := otherLock.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Error("the signal was lost: ", err)
	}
	_, _ = far.Close(), m.Close()
}

// A Wait for which the manager has no room returns an error, with the Mutex held.
func TestCondBeyondLimit(t *testing.T) {
	ctx := soon(t)
	m := start(t, manager.Config{Limits: manager.Limits{Calls: 1}})
	lock, taken := must(manager.NewMutex(ctx, m)), must(manager.NewMutex(ctx, m))
	c := must(manager.NewCond(ctx, m, lock))
	if err := errors.Join(taken.Lock(ctx), lock.Lock(ctx)); err != nil {
		t.Fatal(err)
	}

	short, cancel := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- taken.Lock(short) }()
	until(t, "one waits", func() bool { return stats(t, m).Waiting == 1 })
	if err := c.Wait(ctx); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}

	if err := lock.Unlock(ctx); err != nil {
		t.Error("it is not held: ", err)
	}
	cancel()
	<-over
}
