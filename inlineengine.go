package mp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/logs"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/query"
	"github.com/go-multiprocessing/mp/internal/task"
)

// inlineEngine runs the tasks of a [Pool] or a [Process] in this process, on an [Inline], if
// MPDEBUG contains inline. It cannot kill tasks.
type inlineEngine struct {
	inline   *Inline
	started  time.Time
	teardown link.Bound
	files    []uint64 // in the arguments of setup and teardown
	stderr   io.Writer
	room     chan struct{}      // holds one element for each waiting submission
	onEnd    func(d pool.Death) // of a Process; nil for a Pool

	mu     sync.Mutex
	closed bool
	jobs   sync.WaitGroup
	tears  sync.Once // runs the teardown, at most once
	ending sync.Once
	ended  chan struct{}
	code   int // the exit code that a process would have
}

// newInlineEngine runs the setup and returns the engine. On error it releases the files that cfg
// holds.
func newInlineEngine(cfg pool.Config) (*inlineEngine, error) {
	x, err := NewInline(InlineConfig{Workers: cfg.Workers})
	if err != nil {
		objects.ForgetFiles(cfg.Files)
		return nil, err
	}
	e := &inlineEngine{
		inline: x, started: time.Now(), teardown: cfg.Link.Teardown, files: cfg.Files, stderr: cfg.Stderr,
		room: make(chan struct{}, cfg.Backlog), onEnd: cfg.OnEnd, ended: make(chan struct{}),
	}
	x.patient = cfg.Patient
	if cfg.Trace {
		x.trace = logs.NewQueue(cfg.Logger)
	}

	setup := cfg.Link.Setup
	if err := e.runBound(context.Background(), setup); err != nil {
		e.tears.Do(func() {})
		_ = e.Close()
		return nil, &StartError{Worker: 1, Err: fmt.Errorf("its setup %s failed: %w", setup.Name, err)}
	}
	return e, nil
}

// runBound runs a setup or teardown if there is one.
func (e *inlineEngine) runBound(ctx context.Context, b link.Bound) error {
	if b.Name == "" {
		return nil
	}
	f, ok := functions.lookup(b.Name)
	if !ok {
		return errors.New("this program has no such function")
	}

	var contexts task.Contexts
	taskCtx := contexts.New(task.Info{Worker: 1})
	defer context.AfterFunc(ctx, func() { taskCtx.Cancel(ctx.Err()) })()
	defer context.AfterFunc(e.inline.ctx, func() { taskCtx.Cancel(context.Canceled) })()

	done := make(chan error, 1)
	go func() { // the function may end its goroutine
		kind, data := uint8(task.Exited), []byte(nil)
		defer func() { taskCtx.Cancel(context.Canceled); done <- outcomeError(b.Name, kind, data) }()
		kind, data = task.Run(taskCtx, f.handler(), b.Arg, nil)
	}()

	return <-done
}

// Execute accepts the tasks of a batch. Each starts when a worker becomes free. Execute blocks
// while too many submissions wait.
func (e *inlineEngine) Execute(ctx context.Context, function string, b pool.Batch, h pool.Hints) error {
	if _, ok := functions.lookup(function); !ok {
		return fmt.Errorf("mp: no function %q is registered", function)
	}
	if ctx.Err() != nil {
		return cause.Of(ctx)
	}
	if b.Len() == 0 {
		return nil
	}

	if err := e.admit(); err != nil {
		return err
	}
	if err := e.waitForRoom(ctx); err != nil {
		e.jobs.Done()
		return err
	}

	if e.onEnd != nil {
		b = &soloBatch{b, e}
	}

	a, err := e.inline.admit(ctx, function, b, Hints(h))
	if err != nil {
		<-e.room
		e.jobs.Done()
		return err
	}

	go func() {
		defer e.jobs.Done()
		defer func() { <-e.room }()
		a.begin()
	}()
	return nil
}

// admit counts a submission that Close must wait for.
func (e *inlineEngine) admit() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.jobs.Add(1)
	return nil
}

// waitForRoom waits until the queue has room for a submission.
func (e *inlineEngine) waitForRoom(ctx context.Context) error {
	select {
	case e.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return cause.Of(ctx)
	case <-e.inline.ctx.Done():
		return ErrClosed
	}
}

// Shutdown waits for the tasks and runs the teardown.
func (e *inlineEngine) Shutdown(ctx context.Context) error {
	e.refuse()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.jobs.Wait()
		e.inline.tasks.Wait()
		e.tears.Do(func() { e.tearDown(ctx) })
	}()

	select {
	case <-done:
		return e.Close()
	case <-ctx.Done():
		_ = e.Close()
		return cause.Of(ctx)
	}
}

func (e *inlineEngine) tearDown(ctx context.Context) {
	if err := e.runBound(ctx, e.teardown); err != nil {
		_, _ = fmt.Fprintf(e.stderr, "mp: teardown %s failed: %v\n", e.teardown.Name, err)
	}
}

// Close cancels the contexts of the tasks and waits for the tasks.
func (e *inlineEngine) Close() error {
	e.refuse()
	e.ending.Do(func() {
		defer close(e.ended)
		e.inline.end(ErrClosed)
		e.jobs.Wait()
		_ = e.inline.Close()
		e.tears.Do(func() {}) // waits for a running teardown, and prevents a later one
		if e.inline.trace != nil {
			e.inline.trace.Close()
		}
		objects.ForgetFiles(e.files)
		if e.onEnd != nil {
			e.onEnd(e.death())
		}
	})

	<-e.ended
	return nil
}

func (e *inlineEngine) refuse() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// death returns how the process would have ended.
func (e *inlineEngine) death() pool.Death {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := pool.Death{Worker: 1, PID: os.Getpid()}
	d.Status.ExitCode = e.code
	return d
}

// Resize sets how many tasks run at once.
func (e *inlineEngine) Resize(workers int) error {
	if err := e.Ready(context.Background()); err != nil {
		return err
	}
	return e.inline.resize(workers)
}

// Ready does not wait, because the setup has already run.
func (e *inlineEngine) Ready(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	return nil
}

func (e *inlineEngine) Size() int                        { return e.inline.numWorkers() }
func (e *inlineEngine) Running(b pool.Batch, i int) bool { return e.inline.isRunning(b, i) }
func (e *inlineEngine) PID() int                         { return os.Getpid() }

// Signal cancels the task if the signal would end a process. It ignores other signals.
func (e *inlineEngine) Signal(s syscall.Signal) {
	switch s {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGKILL:
		e.inline.end(ErrClosed)
	}
}

// Workers describes the workers that a pool would have.
func (e *inlineEngine) Workers() []pool.Info { return e.inline.infos(e.started) }

// infos describes the workers as if they had started at the given time.
func (x *Inline) infos(started time.Time) []pool.Info {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []pool.Info
	for n := 1; n <= x.numbers; n++ {
		if slices.Contains(x.free, n) {
			continue
		}
		w := pool.Info{Worker: n, Name: current.Name, PID: os.Getpid(), Started: started, Done: x.done[n]}
		if t, ok := x.begun[n]; ok {
			w.Busy, w.Running, w.Task, w.Func, w.Begun = true, true, t.id, t.fn, t.since
		}
		all = append(all, w)
	}
	return all
}

func (x *Inline) isRunning(b Batch, i int) bool {
	if !x.made() {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range x.begun {
		if t.batch == b && t.index == i {
			return true
		}
	}
	return false
}

// Stats returns fewer figures than a pool of processes does.
func (e *inlineEngine) Stats() pool.Stats {
	s := pool.Stats{Slots: e.Size(), Workers: e.Workers(), Queued: len(e.room)}
	s.Serving, s.Started = len(s.Workers), len(s.Workers)
	for _, w := range s.Workers {
		if w.Busy {
			s.Busy++
		}
	}
	return s
}

// Ask queries this process once on behalf of all workers.
func (e *inlineEngine) Ask(ctx context.Context, question []byte) []pool.Answer {
	return []pool.Answer{{Worker: 1, PID: os.Getpid(), Data: query.Answer(ctx, question)}}
}

// soloBatch wraps the batch of a Process to note how its task ends.
type soloBatch struct {
	pool.Batch
	engine *inlineEngine
}

func (b *soloBatch) Settle(i int, result []byte, err error) {
	code := 0
	if panicked := (*PanicError)(nil); errors.As(err, &panicked) {
		code = 2
	} else if err != nil {
		code = 1
	}
	b.engine.mu.Lock()
	b.engine.code = code
	b.engine.mu.Unlock()
	b.Batch.Settle(i, result, err)
}
