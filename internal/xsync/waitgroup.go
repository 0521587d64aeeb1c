package xsync

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A WaitGroup is a counter, kept in its word, that lets goroutines wait until it is 0.
type WaitGroup struct {
	object
	queue park.WaitQueue
}

// NewWaitGroup creates a WaitGroup with the counter 0.
func NewWaitGroup(m Memory) *WaitGroup {
	birth(m, 0)
	return OpenWaitGroup(m)
}

// OpenWaitGroup opens the WaitGroup that already exists in m.
func OpenWaitGroup(m Memory) *WaitGroup {
	g := &WaitGroup{}
	g.init(m)
	g.waitQueue(&g.queue, m, 0, true)
	return g
}

// Close closes the WaitGroup, for all processes if this one owns it.
func (g *WaitGroup) Close(owned bool) { g.close(owned, &g.queue) }

// Add adds n to the counter, which must not become negative.
func (g *WaitGroup) Add(n int) error {
	g.edge.release()
	zero := false
	err := g.update(func(w uint64) (uint64, error) {
		sum := int64(w&^genOf) + int64(n)
		if sum < 0 || sum > MaxPermits {
			return w, fmt.Errorf("mp: a WaitGroup of %d cannot have %d added", w&^genOf, n)
		}
		zero = sum == 0
		return w&genOf | uint64(sum), nil
	})
	if err == nil && zero {
		g.queue.WakeAll()
	}
	return err
}

// Count returns the value of the counter at some moment during the call.
func (g *WaitGroup) Count() (int, error) {
	w := g.word.Load()
	if !g.alive(w) {
		return 0, errs.ErrClosed
	}
	return int(w &^ genOf), nil
}

// Wait waits until the counter is 0.
func (g *WaitGroup) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := wait(ctx, &g.queue, func(bool) (bool, error) {
		n, err := g.Count()
		return n == 0, err
	})
	if err == nil {
		g.edge.acquire()
	}
	return err
}
