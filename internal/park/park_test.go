//go:build linux

package park_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/park"
)

// tables returns WaitTables without a heartbeat for the duration of a test.
func tables(t *testing.T, slots ...int) (tables []*park.WaitTable) {
	t.Helper()
	m, err := park.NewMailboxes()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	for _, s := range slots {
		m.Occupy(s)
		l := park.NewWaitTable(m, s)
		l.Heartbeat = time.Hour
		tables = append(tables, l)
	}
	return tables
}

// A waiter may leave although it was called, because it got what it wanted without the call. In
// that case, the next waiter in the queue is called: it would get no other call for that change.
func TestLeavePassesOn(t *testing.T) {
	var mask atomic.Uint64
	var s park.WaitQueue
	s.Init(tables(t, 1)[0], &mask, 7, false)
	first, second := s.Enter(), s.Enter()
	s.WakeOne()
	s.Leave(first)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Sleep(ctx, second); err != nil || ctx.Err() != nil {
		t.Error("the second was not called: ", err)
	}
	s.Leave(second)
}

// A leader that is called, or whose context ends, just as it goes to sleep does not sleep.
func TestLeaderIsCalledInTime(t *testing.T) {
	times := 10_000
	if testing.Short() {
		times = 2_000
	}
	var mask atomic.Uint64
	var s park.WaitQueue
	s.Init(tables(t, 1)[0], &mask, 7, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const long = 30 * time.Second // for one sleep
	stuck := time.AfterFunc(long, cancel)
	defer stuck.Stop()

	w := s.Enter()
	defer s.Leave(w)
	var checked, calls atomic.Int64
	go func() {
		for ctx.Err() == nil { // call right after each sleep, when the next one starts
			if n := calls.Load(); checked.Load() == n {
				for range n % 512 {
					_ = mask.Load()
				}
				calls.Add(1)
				s.CallNext()
			} else {
				runtime.Gosched() // let the sleeper run if there is only one processor
			}
		}
	}()

	for i := range times {
		if err := s.Sleep(ctx, w); err != nil || ctx.Err() != nil {
			t.Fatalf("sleep %d did not end: %v", i, err)
		}
		stuck.Reset(long)
		checked.Store(calls.Load())
	}
}

// Two queues for one word exist when a process attaches an object again that it has closed. A
// waiter that leaves one queue does not make others forget the waiters in the other.
func TestTwoQueues(t *testing.T) {
	var mask atomic.Uint64
	var old, now park.WaitQueue
	table := tables(t, 1)[0]
	old.Init(table, &mask, 7, false)
	now.Init(table, &mask, 7, false)

	first, second := old.Enter(), now.Enter()
	old.Leave(first)
	old.WakeOne()

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := now.Sleep(ctx, second); err != nil || ctx.Err() != nil {
		t.Error("who waits at the other site was not called: ", err)
	}
	now.Leave(second)

	if mask.Load() != 0 {
		t.Error("nobody waits, and the mask says that somebody does")
	}
}

// A wait that keeps being called and finds nothing ends with its context.
func TestUntilEndsThoughCalled(t *testing.T) {
	var mask atomic.Uint64
	var s park.WaitQueue
	s.Init(tables(t, 1)[0], &mask, 7, false)
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := s.Until(ctx, func(bool) bool {
		if tries++; tries == 10 {
			cancel()
		}
		s.CallNext()
		return tries == 1000
	})
	if !errors.Is(err, context.Canceled) || tries != 10 {
		t.Error(err, tries)
	}
}

// Only assigned slots are occupied, whatever number is asked for.
func TestOccupied(t *testing.T) {
	table := tables(t, 1, 64, 1023)[0]
	for slot, want := range map[int]bool{1: true, 64: true, 1023: true, 0: false, 2: false, 65: false, 1024: false, -1: false, 1 << 40: false} {
		if table.Occupied(slot) != want {
			t.Errorf("slot %d: not %v", slot, want)
		}
	}
	table.Mailboxes().Vacate(64)
	if table.Occupied(64) {
		t.Error("a slot that was given back is occupied")
	}
}
