package runner

import (
	"context"
	"errors"
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
// looks at it: what a context needs is made then. It is cancelled when the task
// has ended, so that goroutines which the task left behind see it.
type Context struct {
	info Info
	at   uint64                // what Committed was when the task began
	real atomic.Pointer[state] // nil until somebody looks
	due  *time.Time            // its deadline; nil: none
}

// state is what a context needs that is looked at.
type state struct {
	done  chan struct{}
	ended atomic.Bool // there is an err

	mu    sync.Mutex
	err   error
	after map[*func()]bool // to be called at the end
}

// over stands for a context that was cancelled before anybody had looked.
var over = func() *state {
	s := &state{done: make(chan struct{})}
	s.end(context.Canceled)
	return s
}()

func (s *state) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	s.ended.Store(true)
	close(s.done)
	for f := range s.after {
		go (*f)()
	}
	s.after = nil
}

// Committed is how much a worker has committed: it changes with the outcome of
// each task. It tells a context that nobody looked at in time that its task has
// ended, without a word to each. It is set once, before the first task.
var Committed *atomic.Uint64

// looked holds the tasks of this process that have looked and not ended, for
// CancelRunning; asked is the number that it was last given, above bit 32 so
// that 0 is none, and err what came with it.
var looked struct {
	mu    sync.Mutex
	tasks map[*Context]bool
	asked uint64
	err   error
}

func ask(seq uint32) uint64 { return 1<<32 | uint64(seq) }

// CancelRunning cancels the task with this number, which has begun: at once if
// it has looked at its context, else when it does. Task numbers are those of a
// worker's link; 0 is none. The error becomes the context's.
func CancelRunning(seq uint32, err error) {
	looked.mu.Lock()
	defer looked.mu.Unlock()
	looked.asked, looked.err = ask(seq), err
	for c := range looked.tasks {
		if c.info.Seq == seq {
			c.real.Load().end(err)
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

func (c *Context) get() *state {
	if s := c.real.Load(); s != nil {
		return s
	}
	looked.mu.Lock()
	defer looked.mu.Unlock()
	s := &state{done: make(chan struct{})}
	if !c.real.CompareAndSwap(nil, s) {
		return c.real.Load()
	}
	switch {
	case c.info.Seq == 0:
	case c.committed():
		s.end(context.Canceled)
	default:
		if looked.tasks == nil {
			looked.tasks = map[*Context]bool{}
		}
		looked.tasks[c] = true
		if looked.asked == ask(c.info.Seq) {
			s.end(looked.err)
		}
	}
	return s
}

// committed is looked at after real is set, and End looks at real after the
// commit: one of the two sees the other.
func (c *Context) committed() bool { return Committed != nil && Committed.Load() != c.at }

// SetDeadline says when the task is to end, of which others see to it. It belongs before the task
// begins, and many contexts may share the time.
func (c *Context) SetDeadline(t *time.Time) { c.due = t }

// Deadline is what was set.
func (c *Context) Deadline() (time.Time, bool) {
	if c.due == nil {
		return time.Time{}, false
	}
	return *c.due, true
}

// Done is closed when the task is cancelled or has ended.
func (c *Context) Done() <-chan struct{} { return c.get().done }

// Err is nil until then. It has seldom something to say, and is asked by many: whenever
// a goroutine takes a lock, for instance.
func (c *Context) Err() error {
	if s := c.real.Load(); s != nil && !s.ended.Load() {
		return nil
	}
	return c.cause()
}

func (c *Context) cause() error {
	s := c.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Value knows the task's Info.
func (c *Context) Value(key any) any {
	if _, ok := key.(infoKey); ok {
		return c
	}
	return nil
}

// AfterFunc has f called on a goroutine of its own when the context ends: with
// it, contexts derived from this one need no goroutine each.
func (c *Context) AfterFunc(f func()) (stop func() bool) {
	s := c.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		go f()
		return func() bool { return false }
	}
	if s.after == nil {
		s.after = map[*func()]bool{}
	}
	s.after[&f] = true
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		waiting := s.after[&f]
		delete(s.after, &f)
		return waiting
	}
}

// Cancel ends the context with err: the task was cancelled, or has ended.
func (c *Context) Cancel(err error) {
	if errors.Is(err, context.Canceled) && c.real.CompareAndSwap(nil, over) {
		return
	}
	s := c.get()
	if c.info.Seq != 0 && s != over {
		looked.mu.Lock()
		delete(looked.tasks, c)
		looked.mu.Unlock()
	}
	s.end(err)
}

// End is Cancel for a worker's task that has ended, and costs less: it belongs
// before the task's outcome is committed, and again after.
func (c *Context) End() {
	if c.real.Load() != nil {
		c.Cancel(context.Canceled)
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
