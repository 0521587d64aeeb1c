//go:build linux

package crew_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/go-multiprocessing/mp/internal/crew"
)

// gated is a batch whose encoding waits.
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

// If a worker runs out of work while a task is being encoded for another one, where it would wait
// behind a running task, the idle worker must get it.
func TestNothingWaitsBehindWhileOneIsIdle(t *testing.T) {
	c := start(t, config(t, "honest", 2))
	until(t, "both workers", func() bool { return len(c.Workers()) == 2 })
	var cancels [2]context.CancelFunc
	for i := range cancels {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cancels[i] = cancel
		execute(t, ctx, c, "task", newBatch(waits()), crew.Hints{})
		until(t, "it runs", func() bool { return running(c) == i+1 })
	}

	g := gated{newBatch([]byte("hello")), new(sync.Once), make(chan struct{}), make(chan struct{})}
	if err := c.Execute(t.Context(), "echo", g, crew.Hints{}); err != nil {
		t.Fatal(err)
	}
	<-g.reached // encoded for worker 1, the first that could take it
	for _, w := range c.Workers() {
		if w.Worker == 2 {
			cancels[w.Task-1]()
		}
	}
	until(t, "worker 2 has nothing to do", func() bool { return c.Stats().Busy == 1 })
	close(g.open)
	g.wait(t, "what waits behind")
}

func running(c *crew.Crew) (n int) {
	for _, w := range c.Workers() {
		if w.Running {
			n++
		}
	}
	return n
}

// An idle worker that is woken for a task must get it, even if the parent has one processor. There,
// a busy worker that is also told of the task could win every time, and the task would wait behind
// its current one.
func TestIdleWorkerComesFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := start(t, config(t, "honest", 2))
	occupy(t, c)
	execute(t, t.Context(), c, "task", newBatch(waits()), crew.Hints{})
	until(t, "both run a task", func() bool { return running(c) == 2 })
}
