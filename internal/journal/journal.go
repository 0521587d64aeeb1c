// Package journal hands log records to a user's handler, on a goroutine of its own: the handler may
// block, panic, or use what logs.
package journal

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// most is how many records wait for the handler; those beyond are lost, since workers must not
	// wait for it.
	most = 8192
	// progress is within what time the handler has to take a record in for more to be waited for.
	progress = 200 * time.Millisecond
)

// A Journal calls what is added to it, in order. It is safe for concurrent use.
type Journal struct {
	logger *slog.Logger
	queue  chan func()
	done   chan struct{}
	once   sync.Once
	lost   atomic.Int64
	passed atomic.Int64
}

// New makes a Journal, which tells the logger when records are lost.
func New(logger *slog.Logger) *Journal {
	j := &Journal{logger: logger, queue: make(chan func(), most), done: make(chan struct{})}
	go j.run()
	return j
}

// Add has f called, which logs, after what was added before. It does not block.
func (j *Journal) Add(f func()) {
	select {
	case j.queue <- f:
	default:
		j.lost.Add(1)
	}
}

// Info has something logged, after what was added before.
func (j *Journal) Info(what string, args ...any) {
	j.Add(func() { j.logger.Info(what, args...) })
}

// run calls what is added until the queue is closed. A handler that calls runtime.Goexit ends the
// goroutine, and a new one goes on.
func (j *Journal) run() {
	over := false
	defer func() {
		if over {
			close(j.done)
			return
		}
		go j.run()
	}()
	for f := range j.queue {
		if n := j.lost.Swap(0); n > 0 {
			j.guarded(func() { j.logger.Warn("mp: log records of workers were lost: the handler is too slow", "records", n) })
		}
		j.guarded(f)
		j.passed.Add(1)
	}
	over = true
}

// guarded keeps a panic of the handler from ending the program.
func (j *Journal) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			j.once.Do(func() { Complain("mp: panic in the handler of workers' logs", r) })
		}
	}()
	f()
}

// Complain tells of a panic what there is nobody else to tell.
func Complain(what string, panicked any) {
	fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", what, panicked, debug.Stack())
}

// Close ends it once all has been passed on, but waits for no handler that makes no progress. Nothing
// may be added any more.
func (j *Journal) Close() {
	close(j.queue)
	for before := int64(-1); j.passed.Load() != before; {
		before = j.passed.Load()
		select {
		case <-j.done:
			return
		case <-time.After(progress):
		}
	}
}
