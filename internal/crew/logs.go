//go:build linux

package crew

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxLogs is how many log records wait for the handler; those beyond are lost,
// since workers must not wait for it.
const maxLogs = 8192

// logs hands the workers' log records to the user's handler, on a goroutine of
// its own: the handler may block, panic, or use the pool.
type logs struct {
	handle func(worker, pid int, data []byte)
	logger *slog.Logger
	queue  chan logged
	done   chan struct{}
	once   sync.Once
	lost   atomic.Int64
	passed atomic.Int64
}

type logged struct {
	worker, pid int
	data        []byte
}

func newLogs(cfg Config) *logs {
	l := &logs{handle: cfg.OnLog, logger: cfg.Logger, queue: make(chan logged, maxLogs), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *logs) add(worker, pid int, data []byte) {
	select {
	case l.queue <- logged{worker, pid, data}:
	default:
		l.lost.Add(1)
	}
}

// run passes records on until the queue is closed. A handler that calls
// runtime.Goexit ends the goroutine, and a new one goes on.
func (l *logs) run() {
	over := false
	defer func() {
		if over {
			close(l.done)
			return
		}
		go l.run()
	}()
	for r := range l.queue {
		if n := l.lost.Swap(0); n > 0 {
			l.guarded(func() { l.logger.Warn("mp: log records of workers were lost: the handler is too slow", "records", n) })
		}
		l.guarded(func() { l.handle(r.worker, r.pid, r.data) })
		l.passed.Add(1)
	}
	over = true
}

// guarded keeps a panic of the handler from ending the program.
func (l *logs) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			l.once.Do(func() { complain("mp: panic in the handler of workers' logs", r) })
		}
	}()
	f()
}

// close ends it once all has been passed on, but waits for no handler that makes
// no progress. Nothing may be added any more.
func (l *logs) close() {
	close(l.queue)
	for before := int64(-1); l.passed.Load() != before; {
		before = l.passed.Load()
		select {
		case <-l.done:
			return
		case <-time.After(2 * lastWords):
		}
	}
}
