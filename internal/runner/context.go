package runner

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Info says which task it is.
type Info struct {
	ID      uint64
	Seq     uint32 // its number on the link
	Worker  uint16
	Attempt uint16
}

// Context is the context of one task. It costs next to nothing until the task
// looks at it: only then is a real context made, and kept aside, so that a
// Context is a few bytes without a pointer. It is cancelled when the task has
// ended, so that goroutines which the task left behind see it.
type Context struct {
	info  Info
	state atomic.Uint32
}

// States of a Context.
const (
	untouched = iota
	touched   // it has a real context in the table
	over      // it was cancelled; its real context, if any, has left the table
)

type realContext struct {
	context.Context
	cancel context.CancelFunc
}

// table holds the real contexts of tasks that have looked and not ended.
var table struct {
	mu   sync.Mutex
	real map[*Context]realContext
}

// ended stands for the real context of all that are over.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// asked is the task of this process that is to be cancelled, for tasks that
// CancelRunning addresses: its Seq, above bit 32 so that 0 is none.
var asked atomic.Uint64

func askFor(seq uint32) uint64 { return 1<<32 | uint64(seq) }

// CancelRunning cancels the task with this number if it is running. Task
// numbers are those of a worker's link; 0 is none.
func CancelRunning(seq uint32) {
	// Either a task that looks later sees the mark, or we see it here.
	asked.Store(askFor(seq))
	table.mu.Lock()
	defer table.mu.Unlock()
	for c, r := range table.real {
		if c.info.Seq == seq {
			r.cancel()
		}
	}
}

type infoKey struct{}

// InfoFrom returns the Info of the task that ctx belongs to.
func InfoFrom(ctx context.Context) (Info, bool) {
	c, ok := ctx.Value(infoKey{}).(*Context)
	if !ok {
		return Info{}, false
	}
	return c.info, true
}

func (c *Context) get() context.Context {
	if c.state.Load() == over {
		return ended
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	if r, ok := table.real[c]; ok {
		return r
	}
	if !c.state.CompareAndSwap(untouched, touched) {
		return ended
	}
	ctx, cancel := context.WithCancel(context.Background())
	if table.real == nil {
		table.real = map[*Context]realContext{}
	}
	table.real[c] = realContext{ctx, cancel}
	if c.info.Seq != 0 && asked.Load() == askFor(c.info.Seq) {
		cancel()
	}
	return ctx
}

// Deadline reports no deadline.
func (c *Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is closed when the task is cancelled or has ended.
func (c *Context) Done() <-chan struct{} { return c.get().Done() }

// Err is nil until then.
func (c *Context) Err() error { return c.get().Err() }

// Value knows the task's Info.
func (c *Context) Value(key any) any {
	if _, ok := key.(infoKey); ok {
		return c
	}
	return c.get().Value(key)
}

// Cancel cancels the context: the task was cancelled, or has ended.
func (c *Context) Cancel() {
	if c.state.Swap(over) != touched {
		return
	}
	table.mu.Lock()
	r := table.real[c]
	delete(table.real, c)
	table.mu.Unlock()
	r.cancel()
}

// Contexts makes Contexts, many with one allocation.
type Contexts struct{ block []Context }

// New returns a fresh context.
func (cs *Contexts) New(info Info) *Context {
	if len(cs.block) == 0 {
		cs.block = make([]Context, 256)
	}
	c := &cs.block[0]
	cs.block = cs.block[1:]
	c.info = info
	return c
}
