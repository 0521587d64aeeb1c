package task

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Info identifies a task.
type Info struct {
	ID      uint64
	Seq     uint32 // the task's number on the link; 0 if it has none
	Worker  uint16
	Attempt uint16
}

// Context is the context of one task. It costs next to nothing until the task uses it, because its
// state is created only then. It is cancelled when the task has ended, so that goroutines that the
// task left behind learn about the end.
type Context struct {
	info Info
	at   uint64                // the value of Committed when the task started
	real atomic.Pointer[state] // nil until the context is used
	due  *time.Time            // the deadline; nil if there is none
}

// state is the part of a Context that is created when the context is first used.
type state struct {
	done  chan struct{}
	ended atomic.Bool // err is set

	mu    sync.Mutex
	err   error
	after map[*func()]bool // functions to call when the context ends
}

// over is the state of all contexts that were cancelled before they were used.
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

// Committed changes with each outcome that a worker commits. A context that is first used after its
// task has ended thus learns of the end, so ending a task need not create its context's state.
// Committed is set once, before the first task.
var Committed *atomic.Uint64

// observed contains the tasks of this process that have used their contexts and have not ended, for
// CancelRunning. asked is the number that CancelRunning was last called with, with bit 32 set, so
// that 0 means that CancelRunning has not been called. err is the error that it was called with.
var observed struct {
	mu    sync.Mutex
	tasks map[*Context]bool
	asked uint64
	err   error
}

func ask(seq uint32) uint64 { return 1<<32 | uint64(seq) }

// CancelRunning cancels the running task with the given number: at once if the task has used its
// context, otherwise when the task first uses it. The number is the task's number on the worker's
// link; 0 means no task. err becomes the context's error.
func CancelRunning(seq uint32, err error) {
	observed.mu.Lock()
	defer observed.mu.Unlock()
	observed.asked, observed.err = ask(seq), err
	for c := range observed.tasks {
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

// get returns the context's state, which it creates if necessary.
func (c *Context) get() *state {
	if s := c.real.Load(); s != nil {
		return s
	}

	observed.mu.Lock()
	defer observed.mu.Unlock()
	s := &state{done: make(chan struct{})}
	if !c.real.CompareAndSwap(nil, s) {
		return c.real.Load()
	}

	switch {
	case c.info.Seq == 0:
	case c.committed():
		s.end(context.Canceled)
	default:
		if observed.tasks == nil {
			observed.tasks = map[*Context]bool{}
		}
		observed.tasks[c] = true
		if observed.asked == ask(c.info.Seq) {
			s.end(observed.err)
		}
	}

	return s
}

// committed reports whether the task's outcome has been committed. It is called after real is set,
// and End reads real after the commit, so at least one of the two sees the other's change.
func (c *Context) committed() bool { return Committed != nil && Committed.Load() != c.at }

// SetDeadline sets the task's deadline, which other code enforces. SetDeadline must be called
// before the task starts. Several contexts may share t.
func (c *Context) SetDeadline(t *time.Time) { c.due = t }

// Deadline returns the deadline that was set.
func (c *Context) Deadline() (time.Time, bool) {
	if c.due == nil {
		return time.Time{}, false
	}
	return *c.due, true
}

// Done returns a channel that is closed when the task is cancelled or has ended.
func (c *Context) Done() <-chan struct{} { return c.get().done }

// Err returns nil until the channel that Done returns is closed, and the context's error from then
// on. It is called often, for example whenever a goroutine takes a lock, so the usual case, without
// an error, is the fast one.
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

// Value returns the Context for the key of InfoFrom.
func (c *Context) Value(key any) any {
	if _, ok := key.(infoKey); ok {
		return c
	}
	return nil
}

// AfterFunc calls f on a goroutine of its own when the context ends. Package context uses this
// method, so that contexts derived from this one need no goroutines.
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

// Cancel ends the context with err because the task was cancelled or has ended.
func (c *Context) Cancel(err error) {
	if errors.Is(err, context.Canceled) && c.real.CompareAndSwap(nil, over) {
		return
	}
	s := c.get()
	if c.info.Seq != 0 && s != over {
		observed.mu.Lock()
		delete(observed.tasks, c)
		observed.mu.Unlock()
	}
	s.end(err)
}

// End is like Cancel, but for a worker's task that has ended, and costs less. It must be called
// before the task's outcome is committed, and again afterward.
func (c *Context) End() {
	if c.real.Load() != nil {
		c.Cancel(context.Canceled)
	}
}

// Contexts allocates Contexts in blocks.
type Contexts struct{ block []Context }

// New returns a new Context.
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
