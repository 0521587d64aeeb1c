//go:build linux

package pool_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/go-multiprocessing/mp/internal/pool"
)

// gated is a batch whose Encode waits until open is closed.
type gated struct {
	*batch
	once          *sync.Once
	reached, open chan struct{}
}

func (g gated) Encode(buf []byte, lo, hi int) ([]byte, int, error) {
	g.once.Do(func() { close(g.reached) })
	<-g.open
	return g.batch.Encode(buf, lo, hi)
}

// If a worker runs out of work while a task is being encoded for another worker, where the task
// would wait behind a running one, the idle worker must get the task.
func TestNothingWaitsBehindWhileOneIsIdle(t *testing.T) {
	p := start(t, config(t, "honest", 2))
	until(t, "both workers", func() bool { return len(p.Workers()) == 2 })
	var cancels [2]context.CancelFunc
	for i := range cancels {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cancels[i] = cancel
		execute(t, ctx, p, "task", newBatch(waits()), pool.Hints{})
		until(t, "it runs", func() bool { return running(p) == i+1 })
	}

	g := gated{newBatch([]byte("hello")), new(sync.Once), make(chan struct{}), make(chan struct{})}
	if err := p.Execute(t.Context(), "echo", g, pool.Hints{}); err != nil {
		t.Fatal(err)
	}
	<-g.reached // being encoded for worker 1, the first that could take it
	for _, w := range p.Workers() {
		if w.Worker == 2 {
			cancels[w.Task-1]()
		}
	}
	until(t, "worker 2 has nothing to do", func() bool { return p.Stats().Busy == 1 })
	close(g.open)
	g.wait(t, "what waits behind")
}

func running(p *pool.Pool) (n int) {
	for _, w := range p.Workers() {
		if w.Running {
			n++
		}
	}
	return n
}

// An idle worker that is woken for a task must get the task, even if the parent has only one
// processor. With one processor, a busy worker that is also told about the task could win every
// time, and the task would wait behind that worker's current task.
func TestIdleWorkerComesFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := start(t, config(t, "honest", 2))
	occupy(t, p)
	execute(t, t.Context(), p, "task", newBatch(waits()), pool.Hints{})
	until(t, "both run a task", func() bool { return running(p) == 2 })
}
