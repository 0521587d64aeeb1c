package logs

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// progressTime is how long Close waits for the handler to take the next record.
const progressTime = 200 * time.Millisecond

// maxWait is how long Close waits for a handler that makes progress. A worker can leave thousands
// of records, and a handler may need some time for each. Tests shorten it.
var maxWait = 3 * time.Second

// A Queue calls the functions that are added to it, in order and on a goroutine of its own. They
// may block, panic, or use code that logs. It is safe for concurrent use.
type Queue struct {
	logger *slog.Logger
	done   chan struct{}
	once   sync.Once
	passed atomic.Int64

	mu     sync.Mutex
	more   sync.Cond
	queue  recordQueue
	closed bool
}

// NewQueue creates a Queue. The Queue logs a warning with logger when records are lost.
func NewQueue(logger *slog.Logger) *Queue {
	j := &Queue{logger: logger, done: make(chan struct{}), queue: newRecordQueue()}
	j.more.L = &j.mu
	go j.run()
	return j
}

// Own is the source of the program's own records, as opposed to a worker's.
const Own = -1

// Add queues a call of f, which logs a record. Add does not block, because workers must not wait
// for the handler; a record for which there is no room is lost. source is the worker that logs. A
// worker that logs too much loses its own records, not other workers'. size is the number of bytes
// that f keeps in memory.
func (j *Queue) Add(source, size int, f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.queue.put(record{source, size + overhead, f})
	j.more.Signal()
}

// Info logs a message through the Queue, after the records that were added before.
func (j *Queue) Info(what string, args ...any) {
	j.Add(Own, 0, func() { j.logger.Info(what, args...) })
}

// run calls the functions that are added until the Queue is closed. If a handler calls
// runtime.Goexit, the goroutine ends, and run continues on a new one.
func (j *Queue) run() {
	over := false
	defer func() {
		if over {
			close(j.done)
			return
		}
		go j.run()
	}()

	for {
		f, lost, ok := j.next()
		if !ok {
			over = true
			return
		}

		for source, n := range lost {
			j.guarded(func() { j.tell(source, n) })
		}
		if f != nil {
			j.guarded(f)
			j.passed.Add(1)
		}
	}
}

// next waits for a record. It also returns how many records were lost since the last call, by
// source. f is nil if there is only a loss to report. ok is false when the Queue is closed and
// empty.
func (j *Queue) next() (f func(), lost map[int]int, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.queue.empty() && !j.closed {
		j.more.Wait()
	}
	if j.queue.empty() {
		return nil, nil, false
	}
	f, lost = j.queue.take()
	return f, lost, true
}

// tell logs that records were lost.
func (j *Queue) tell(source, n int) {
	if source == Own {
		j.logger.Warn("mp: log records were lost: the handler is too slow", "records", n)
		return
	}
	j.logger.Warn("mp: log records of a worker were lost: the handler is too slow", "records", n, "worker", source)
}

// guarded calls f and recovers from a panic of the handler, which must not end the program.
func (j *Queue) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			j.once.Do(func() { Complain("mp: panic in the handler of workers' logs", r) })
		}
	}()
	f()
}

// Complain reports a panic on stderr, for code that cannot report it in any other way.
func Complain(what string, panicked any) {
	fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", what, panicked, debug.Stack())
}

// Close returns when all records have been passed on, when the handler makes no progress, or a
// moment after maxWait has passed. Records that are left at that point are lost. Records that are
// added later are dropped.
func (j *Queue) Close() {
	j.mu.Lock()
	j.closed = true
	j.more.Broadcast()
	j.mu.Unlock()
	if !j.await(maxWait) {
		j.mu.Lock()
		j.queue.drop()
		j.mu.Unlock()
		j.await(progressTime)
	}
}

// await waits for the end of run, but no longer than most. It returns false if that time is up
// while the handler still makes progress.
func (j *Queue) await(most time.Duration) bool {
	limit := time.NewTimer(most)
	defer limit.Stop()
	for before := int64(-1); j.passed.Load() != before; {
		before = j.passed.Load()
		select {
		case <-j.done:
			return true
		case <-limit.C:
			return false
		case <-time.After(progressTime):
		}
	}
	return true
}
