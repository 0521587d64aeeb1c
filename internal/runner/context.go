package runner

import (
	"context"
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
// looks at it: the real context is made then. It is cancelled when the task has
// ended, so that goroutines which the task left behind see it.
type Context struct {
	info Info
	real atomic.Pointer[realContext] // nil until somebody looks
}

type realContext struct {
	context.Context
	cancel context.CancelFunc
}

// over stands for a context that was cancelled before anybody had looked.
var over = func() *realContext {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return &realContext{ctx, cancel}
}()

type infoKey struct{}

// InfoFrom returns the Info of the task that ctx belongs to.
func InfoFrom(ctx context.Context) (Info, bool) {
	c, ok := ctx.Value(infoKey{}).(*Context)
	if !ok {
		return Info{}, false
	}
	return c.info, true
}

// Info says which task the context is of.
func (c *Context) Info() Info { return c.info }

func (c *Context) get() *realContext {
	if r := c.real.Load(); r != nil {
		return r
	}
	ctx, cancel := context.WithCancel(context.Background())
	if !c.real.CompareAndSwap(nil, &realContext{ctx, cancel}) {
		cancel()
	}
	return c.real.Load()
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
	if r := c.real.Load(); r == nil && c.real.CompareAndSwap(nil, over) {
		return
	}
	c.real.Load().cancel()
}

// Contexts makes Contexts, many with one allocation.
type Contexts struct{ block []Context }

// New returns a fresh context.
func (cs *Contexts) New(info Info) *Context {
	if len(cs.block) == 0 {
		cs.block = make([]Context, 128)
	}
	c := &cs.block[0]
	cs.block = cs.block[1:]
	c.info = info
	return c
}
