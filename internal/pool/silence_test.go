//go:build linux

package pool_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/pool"
)

func waits() []byte { b := make([]byte, 16); b[8] = doWait; return b }

// occupy makes one of two workers run a task until release is called, and returns both workers.
func occupy(t *testing.T, p *pool.Pool) (busy, other pool.Info, release func()) {
	t.Helper()
	until(t, "both workers", func() bool { return len(p.Workers()) == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	b := newBatch(waits())
	execute(t, ctx, p, "task", b, pool.Hints{})
	until(t, "it runs", func() bool { return running(p) == 1 })
	ws := p.Workers()
	if ws[1].Running {
		ws[0], ws[1] = ws[1], ws[0]
	}
	return ws[0], ws[1], func() { cancel(); b.wait(t, "the task that occupied it") }
}

// resume continues a stopped worker and checks that it serves as before.
func resume(t *testing.T, p *pool.Pool, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		execute(t, ctx, p, "task", newBatch(waits()), pool.Hints{})
	}

	until(t, "both run tasks", func() bool { return running(p) == 2 })
	for _, w := range p.Workers() {
		if w.PID == pid {
			return
		}
	}
	t.Error("the worker that was stopped is no longer in service")
}

// If a worker does not start any of its tasks, because it is stopped or hangs outside of a task,
// another worker must run them. Once the first worker continues, it must get tasks again.
func TestStalledWorkerGivesTasksBack(t *testing.T) {
	for _, n := range []int{1, 2, 40} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := start(t, config(t, "honest", 2))
			_, idle, release := occupy(t, p)
			stop(t, idle.PID)
			var in [][]byte
			for range n {
				in = append(in, []byte("hello"))
			}

			b := newBatch(in...)
			if err := <-execute(t, t.Context(), p, "echo", b, pool.Hints{Chunk: 1}); err != nil {
				t.Fatal(err)
			}
			until(t, "the stopped worker has tasks", func() bool { return p.Stats().Busy == 2 })
			release()
			if !b.wait(t, "tasks of a stopped worker") {
				return
			}

			for i, err := range b.errs {
				if err != nil {
					t.Errorf("task %d: %v", i, err)
				}
			}
			resume(t, p, idle.PID)
		})
	}
}

// The same holds for the task of a lone caller, which itself waits for the worker.
func TestStalledWorkerOfALoneCaller(t *testing.T) {
	p := start(t, config(t, "honest", 2))
	last, _, release := occupy(t, p)
	release()
	until(t, "both are idle", func() bool { return p.Stats().Busy == 0 })
	stop(t, last.PID) // the worker that a lone caller gets
	works(t, p)
	resume(t, p, last.PID)
}

// A pool's only worker must keep its tasks while it is stopped, because no other worker could start
// them sooner.
func TestStalledWorkerAlone(t *testing.T) {
	p := start(t, config(t, "honest", 1))
	pid := lone(t, p).PID
	stop(t, pid)
	b := newBatch([]byte("hello"))
	execute(t, t.Context(), p, "echo", b, pool.Hints{})
	until(t, "it has the task", func() bool { return p.Stats().Busy == 1 })
	pool.CheckSilent(p)
	if p.Stats().Queued != 0 {
		t.Error("the task is in the queue")
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.wait(t, "the task of a worker that was stopped")
}

// A pool's only worker must be killed if it has not started a task for as long as a task may take.
// Its tasks must run on the next worker.
func TestStalledWorkerWithTimeout(t *testing.T) {
	p := start(t, config(t, "honest", 1))
	pid := lone(t, p).PID
	stop(t, pid)
	in := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
	b := newBatch(in...)
	execute(t, t.Context(), p, "echo", b, pool.Hints{Timeout: 50 * time.Millisecond})
	if !b.wait(t, "tasks of a stopped worker") {
		return
	}

	for i, err := range b.errs {
		if err != nil {
			t.Errorf("task %d: %v", i, err)
		}
	}
	if now := lone(t, p).PID; now == pid {
		t.Error("the worker is in service, and stopped")
	}
	if ends := p.Stats().Ends; len(ends) != 1 || !strings.Contains(ends[0].Why, "has begun no task") {
		t.Errorf("%+v", ends)
	}
}
