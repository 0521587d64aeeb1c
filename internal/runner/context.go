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
// looks at it: the real context is made then. It is cancelled when the task has
// ended, so that goroutines which the task left behind see it.
type Context struct {
	info Info
	at   uint64                      // what Committed was when the task began
	real atomic.Pointer[realContext] // nil until somebody looks
}

// Committed is how much a worker has committed: it changes with the outcome of
// each task. It tells a context that nobody looked at in time that its task has
// ended, without a word to each. It is set once, before the first task.
var Committed *atomic.Uint64

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

// looked holds the tasks of this process that have looked and not ended, for
// CancelRunning; asked is the number that it was last given, above bit 32 so
// that 0 is none.
var looked struct {
	mu    sync.Mutex
	tasks map[*Context]bool
	asked uint64
}

func ask(seq uint32) uint64 { return 1<<32 | uint64(seq) }

// CancelRunning cancels the task with this number, which has begun: at once if
// it has looked at its context, else when it does. Task numbers are those of a
// worker's link; 0 is none.
func CancelRunning(seq uint32) {
	looked.mu.Lock()
	defer looked.mu.Unlock()
	looked.asked = ask(seq)
	for c := range looked.tasks {
		if c.info.Seq == seq {
			c.real.Load().cancel()
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

func (c *Context) get() *realContext {
	if r := c.real.Load(); r != nil {
		return r
	}
	looked.mu.Lock()
	defer looked.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	if !c.real.CompareAndSwap(nil, &realContext{ctx, cancel}) {
		cancel()
		return c.real.Load()
	}
	switch {
	case c.info.Seq == 0:
	case c.committed():
		cancel()
	default:
		if looked.tasks == nil {
			looked.tasks = map[*Context]bool{}
		}
		looked.tasks[c] = true
		if looked.asked == ask(c.info.Seq) {
			cancel()
		}
	}
	return c.real.Load()
}

// committed is looked at after real is set, and End looks at real after the
// commit: one of the two sees the other.
func (c *Context) committed() bool { return Committed != nil && Committed.Load() != c.at }

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
	if c.real.CompareAndSwap(nil, over) {
		return
	}
	r := c.real.Load()
	if c.info.Seq != 0 && r != over {
		looked.mu.Lock()
		delete(looked.tasks, c)
		looked.mu.Unlock()
	}
	r.cancel()
}

// End is Cancel for a task of a worker, which costs less: it belongs before the
// task's outcome is committed, and again after.
func (c *Context) End() {
	if c.real.Load() != nil {
		c.Cancel()
	}
}

// Contexts makes Contexts, many with one allocation.
type Contexts struct{ block []Context }

// New returns a fresh context.
func (cs *Contexts) New(info Info) *Context {
	if len(cs.block) == 0 {
		cs.block = make([]Context, 1024)
	}
	c := &cs.block[0]
	cs.block = cs.block[1:]
	c.info = info
	if Committed != nil {
		c.at = Committed.Load()
	}
	return c
}
