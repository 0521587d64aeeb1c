//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

type answering struct {
	Conns  []*ipc.Conn[int]
	Queue  *ipc.Queue[int]
	Event  *ipc.Event
	Number int
}

var answerOn = mp.Register("answerOn", func(ctx context.Context, a answering) (int, error) {
	switch {
	case a.Queue != nil:
		return a.Number, a.Queue.Put(ctx, a.Number)
	case a.Event != nil:
		return a.Number, a.Event.Set()
	}
	return a.Number, a.Conns[0].Send(ctx, a.Number)
})

// N28 N29 N30: Select finds each kind of object once another process has made it ready, and not
// before, whatever the other arguments are.
func TestSelect(t *testing.T) {
	mptest.NoLeaks(t)
	ctx := t.Context()
	pool := newPool(t, mp.PoolConfig{Workers: 2})
	conn, other := newPipe[int](t)
	ending, end := newPipe[int](t)
	queue, closing, event, started := newQueue[int](t, 3), newQueue[int](t, 3), newEvent(t), newEvent(t)
	process, err := mp.NewProcess(waitForEvent, started, mp.ProcessConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}

	done := newEvent(t)
	future := mp.Submit(ctx, pool, waitForEvent, done)
	all := []ipc.Selectable{conn, ending, queue, closing, event, ipc.Done(process), ipc.Done(future)}
	causes := []func() error{
		func() error { return start(ctx, pool, answering{Conns: []*ipc.Conn[int]{other}}) },
		end.Close,
		func() error { return start(ctx, pool, answering{Queue: queue}) },
		closing.Close,
		func() error { return start(ctx, pool, answering{Event: event}) },
		started.Set,
		done.Set,
	}

	var want []int
	for i, cause := range causes {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		if got, err := ipc.Select(short, all[i:]...); got != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(i, got, err)
		}
		cancel()
		go func() {
			if err := cause(); err != nil {
				t.Error(err)
			}
		}()
		if got, err := ipc.Select(ctx, all[i:]...); err != nil || !slices.Equal(got, []int{0}) {
			t.Fatal(i, got, err)
		}

		want = append(want, i)
		// Select takes nothing, so everything found so far is still ready.
		if got, err := ipc.Select(ctx, all...); err != nil || !slices.Equal(got, want) {
			t.Fatal(i, got, err)
		}
	}

	if _, err := ipc.Select(ctx); err == nil {
		t.Error("nothing is ready")
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ipc.Select(over, newEvent(t)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	// A ready object takes precedence over a canceled context.
	if got, err := ipc.Select(over, queue); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
}

func start(ctx context.Context, pool *mp.Pool, a answering) error {
	_, err := mp.Call(ctx, pool, answerOn, a)
	return err
}

var waitForEvent = mp.Register("waitForEvent", func(ctx context.Context, e *ipc.Event) (int, error) { return 0, e.Wait(ctx) })

// A program that shares no objects can wait for futures and processes.
func TestSelectWithoutObjects(t *testing.T) {
	pool := newPool(t, mp.PoolConfig{Workers: 1})
	future := mp.Submit(t.Context(), pool, anything, any(1))
	if got, err := ipc.Select(t.Context(), ipc.Done(future)); err != nil || len(got) != 1 {
		t.Error(got, err)
	}

	blocked := mp.Submit(t.Context(), pool, anything, any("block"))
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got, err := ipc.Select(short, ipc.Done(blocked)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(got, err)
	}
	blocked.Cancel()
	never, err := mp.NewProcess(waitForEvent, nil, mp.ProcessConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := never.Close(); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*mp.Process[int]{"closed before its start": never, "not made": {}} {
		if got, err := ipc.Select(t.Context(), ipc.Done(p)); err != nil || len(got) != 1 {
			t.Error(name, got, err)
		}
	}

	if got, err := ipc.Select(t.Context(), ipc.Done(blocked), ipc.Done(blocked)); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
}

// A goroutine in Select does not swallow the wake-ups of other goroutines: together, the goroutines
// receive every element that is put.
func TestSelectPassesOn(t *testing.T) {
	const waiters, each = 8, 300
	var queues []*ipc.Queue[int]
	var of []ipc.Selectable
	for range 4 {
		q := newQueue[int](t, 2)
		queues, of = append(queues, q), append(of, q)
	}

	var got sync.WaitGroup
	for range waiters {
		got.Go(func() {
			for n := 0; n < each; {
				indices, err := ipc.Select(t.Context(), of...)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := queues[indices[0]].TryGet(); err == nil {
					n++
				}
			}
		})
	}

	for i := range waiters * each {
		if err := queues[i%len(queues)].Put(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	got.Wait()
}

// Ten thousand goroutines wait for a thousand queues on a limited number of threads, and each
// goroutine receives an element.
func TestManyQueues(t *testing.T) {
	mptest.NoLeaks(t)
	queues, each := 1000, 10
	if testing.Short() || raceEnabled {
		queues = 100
	}

	pool := newPool(t, mp.PoolConfig{Workers: 1})
	all := make([]*ipc.Queue[int], queues)
	var got sync.WaitGroup
	for i := range all {
		all[i] = newQueue[int](t, 2)
		for range each {
			got.Go(func() {
				if v, err := all[i].Get(t.Context()); v != i || err != nil {
					t.Error(v, err)
				}
			})
		}
	}

	if n, err := mp.Call(t.Context(), pool, putEverywhere, all); n != queues*each || err != nil {
		t.Error(n, err)
	}
	got.Wait()
	if n := threads(t); n > 40 {
		t.Errorf("%d threads", n)
	}
	for _, q := range all {
		_ = q.Discard()
	}
}

var putEverywhere = mp.Register("putEverywhere", func(ctx context.Context, all []*ipc.Queue[int]) (n int, err error) {
	for range 10 {
		for i, q := range all {
			if err := q.Put(ctx, i); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
})

// threads returns the number of threads of this process.
func threads(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
