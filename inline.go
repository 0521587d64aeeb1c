package mp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/logs"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/task"
)

// Inline is an [Executor] that runs tasks in this process, for debuggers and tests. Arguments,
// results and errors are encoded and decoded as for a worker, and panics are caught. But a task
// that crashes or hangs does so in this process. An Inline needs no [Init] and is safe for
// concurrent use.
type Inline struct {
	slots chan int // numbers of free workers
	ctx   context.Context
	end   context.CancelCauseFunc

	patient bool        // deadlines have no effect on running tasks
	trace   *logs.Queue // logs the life of tasks; may be nil

	mu      sync.Mutex
	closed  bool
	size    int                // number of wanted workers
	numbers int                // highest worker number so far
	surplus int                // number of busy workers that must leave
	free    []int              // numbers of workers that have left
	begun   map[int]inlineTask // running tasks, by worker
	done    map[int]int        // number of finished tasks, by worker
	tasks   sync.WaitGroup
	nextID  atomic.Uint64
	last    <-chan struct{} // closed when the next batch may begin; nil before the first batch
}

// InlineConfig describes an [Inline] executor. The zero value is usable.
type InlineConfig struct {
	// Workers is how many tasks run at once, at most 65,535. Defaults to [NumCPU].
	Workers int
}

// NewInline creates an Inline executor. If the config is invalid, the error names the field.
func NewInline(cfg InlineConfig) (*Inline, error) {
	if cfg.Workers < 0 {
		return nil, fmt.Errorf("mp: InlineConfig.Workers is %d: it must not be negative", cfg.Workers)
	}
	if cfg.Workers > maxWorkers {
		return nil, fmt.Errorf("mp: InlineConfig.Workers is %d: there may be %d", cfg.Workers, maxWorkers)
	}

	n := cfg.Workers
	if n == 0 {
		n = NumCPU()
	}
	if err := functions.seal(); err != nil {
		return nil, err
	}

	x := &Inline{slots: make(chan int, max(n, maxInline)), begun: map[int]inlineTask{}, done: map[int]int{}}
	x.ctx, x.end = context.WithCancelCause(context.Background())
	return x, x.resize(n)
}

// Execute implements [Executor]. It returns when the last task has started.
func (x *Inline) Execute(ctx context.Context, function string, b Batch, h Hints) error {
	a, err := x.admit(ctx, function, b, h)
	if err == nil {
		a.begin()
	}
	return err
}

// Shutdown accepts no more tasks and waits for the accepted ones. If ctx ends first, tasks that
// have not started get [ErrClosed], the contexts of running tasks are cancelled, and Shutdown
// returns ctx's error. In that case Shutdown does not wait for the running tasks; Close does.
func (x *Inline) Shutdown(ctx context.Context) error {
	if !x.made() {
		return errNoInline
	}
	x.refuse()

	done := make(chan struct{})
	go func() { x.tasks.Wait(); close(done) }()
	select {
	case <-done:
		return x.Close()
	case <-ctx.Done():
		x.end(ErrClosed)
		return cause.Of(ctx)
	}
}

// Close accepts no more tasks and cancels the contexts of the running tasks. Tasks that have not
// started get [ErrClosed]. Close waits for the running tasks, because, unlike [Pool.Close], it
// cannot kill them. It may be called more than once.
func (x *Inline) Close() error {
	if !x.made() {
		return errNoInline
	}
	x.refuse()
	x.end(ErrClosed)
	x.tasks.Wait()
	return nil
}

// inlineTask is a task that is running.
type inlineTask struct {
	batch Batch
	index int
	id    uint64
	fn    string
	since time.Time
}

// maxInline is how many tasks may run at once, unless the config asked for more.
const maxInline = 1024

// made reports whether NewInline made x.
func (x *Inline) made() bool { return x != nil && x.slots != nil }

// resize sets how many tasks run at once. Running tasks are not affected.
func (x *Inline) resize(n int) error {
	if n > cap(x.slots) {
		return fmt.Errorf("mp: %d tasks at once: at most %d can run in one process", n, cap(x.slots))
	}

	x.mu.Lock()
	defer x.mu.Unlock()
	for ; x.size < n; x.size++ {
		if x.surplus > 0 {
			x.surplus--
		} else {
			x.slots <- x.number()
		}
	}

	for ; x.size > n; x.size-- {
		select {
		case worker := <-x.slots:
			x.free = append(x.free, worker)
		default:
			x.surplus++
		}
	}
	return nil
}

// number returns the number for a new worker. The caller must hold x.mu.
func (x *Inline) number() int {
	if last := len(x.free) - 1; last >= 0 {
		n := x.free[last]
		x.free = x.free[:last]
		return n
	}
	x.numbers++
	return x.numbers
}

// release frees a worker for the next task, unless there are too many workers.
func (x *Inline) release(worker int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.surplus > 0 {
		x.surplus--
		x.free = append(x.free, worker)
		return
	}
	x.slots <- worker
}

func (x *Inline) numWorkers() int {
	if !x.made() {
		return 1
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.size
}

// executeSoon is like Execute but does not wait until the tasks have started.
func (x *Inline) executeSoon(ctx context.Context, function string, b Batch, h Hints) error {
	a, err := x.admit(ctx, function, b, h)
	if err == nil {
		go a.begin()
	}
	return err
}

// An admission is an accepted batch. Its first task starts after the first tasks of all batches
// that were accepted earlier.
type admission struct {
	x     *Inline
	ctx   context.Context
	f     function
	batch Batch
	hints Hints
	id    uint64          // ID of the first task
	after <-chan struct{} // closed when this batch may begin; nil for the first batch
	begun chan struct{}   // closed when the next batch may begin
}

// admit accepts a batch. Batches start in the order in which they are admitted.
func (x *Inline) admit(ctx context.Context, function string, b Batch, h Hints) (*admission, error) {
	if !x.made() {
		return nil, errNoInline
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	f, ok := functions.lookup(function)
	if !ok {
		return nil, fmt.Errorf("mp: no function %q is registered", function)
	}
	if ctx.Err() != nil {
		return nil, cause.Of(ctx)
	}

	n := b.Len()
	a := &admission{x: x, ctx: ctx, f: f, batch: b, hints: h, begun: make(chan struct{})}

	x.mu.Lock()
	defer x.mu.Unlock()

	if x.closed {
		return nil, ErrClosed
	}

	x.tasks.Add(n)
	a.id = x.nextID.Add(uint64(n)) - uint64(n) + 1
	a.after, x.last = x.last, a.begun
	return a, nil
}

// begin starts the tasks and returns when each has started or is settled.
func (a *admission) begin() {
	if a.after != nil {
		select {
		case <-a.after:
		case <-a.ctx.Done():
		case <-a.x.ctx.Done():
		}
	}

	n := a.batch.Len()
	if n == 0 {
		a.passOn()
	}
	for i := range n {
		a.x.begin(a.ctx, a.f, a.batch, i, a.id+uint64(i), a.hints)
		if i == 0 {
			a.passOn()
		}
	}
}

// passOn lets the next batch begin. From then on the two batches take turns. Otherwise a long Map
// would delay a Call on which one of its own tasks may wait.
func (a *admission) passOn() {
	if a.isNext() {
		close(a.begun)
		return
	}
	go func() { // earlier batches may still wait
		<-a.after
		close(a.begun)
	}()
}

// isNext reports whether all earlier batches have let the next one begin.
func (a *admission) isNext() bool {
	if a.after == nil {
		return true
	}
	select {
	case <-a.after:
		return true
	default:
		return false
	}
}

// begin waits for a free worker and runs element i on it.
func (x *Inline) begin(ctx context.Context, f function, b Batch, i int, id uint64, h Hints) {
	var why error
	select {
	case worker := <-x.slots:
		if why = x.over(ctx); why == nil {
			go x.run(ctx, f, b, i, task.Info{ID: id, Attempt: 1, Worker: uint16(worker)}, h)
			return
		}
		x.release(worker)
	case <-ctx.Done():
		why = &pool.Cancelled{Cause: cause.Of(ctx)}
	case <-x.ctx.Done():
		why = ErrClosed
	}

	b.Settle(i, nil, why)
	x.tasks.Done()
}

// over returns the reason why a task must not start any more, or nil.
func (x *Inline) over(ctx context.Context) error {
	switch {
	case x.ctx.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return &pool.Cancelled{Cause: cause.Of(ctx)}
	}
	return nil
}

// run runs one task and settles it.
func (x *Inline) run(ctx context.Context, f function, b Batch, i int, info task.Info, h Hints) {
	defer x.tasks.Done()
	defer x.release(int(info.Worker))
	x.begins(info, inlineTask{b, i, info.ID, f.Name(), time.Now()})

	arg, err := argumentOf(b, i)
	if err != nil {
		x.ends(info, task.Failed)
		b.Settle(i, nil, err)
		return
	}

	var contexts task.Contexts
	taskCtx := contexts.New(info)
	if !x.patient {
		taskCtx.SetDeadline(dueBy(ctx, h.Timeout))
	}
	defer taskCtx.Cancel(context.Canceled)
	defer x.follow(ctx, taskCtx)()

	if h.Timeout > 0 && !x.patient {
		defer time.AfterFunc(h.Timeout, func() { taskCtx.Cancel(context.DeadlineExceeded) }).Stop()
	}
	defer context.AfterFunc(x.ctx, func() { taskCtx.Cancel(context.Canceled) })()

	kind, data := uint8(task.Exited), []byte(nil)
	defer func() { // runs even if the task calls runtime.Goexit
		x.ends(info, kind)
		if err := outcomeError(f.Name(), kind, data); err != nil {
			b.Settle(i, nil, err)
			return
		}
		b.Settle(i, data, nil)
	}()

	kind, data = task.Run(taskCtx, withBaggage(f.handler(), h.Baggage), arg, nil)
}

// dueBy returns the deadline of a task that starts now, or nil if it has none.
func dueBy(ctx context.Context, timeout time.Duration) *time.Time {
	at, ok := ctx.Deadline()
	if own := time.Now().Add(timeout); timeout > 0 && (!ok || own.Before(at)) {
		at, ok = own, true
	}
	if !ok {
		return nil
	}
	return &at
}

// argumentOf returns the encoded argument of element i.
func argumentOf(b Batch, i int) ([]byte, error) {
	arg, n, err := b.Encode(nil, i, i+1)
	if err == nil && (n != 1 || len(arg) < elementHead || int(binary.LittleEndian.Uint32(arg)) != len(arg)-elementHead) {
		err = fmt.Errorf("mp: Encode took %d of 1 elements in %d bytes", n, len(arg))
	}
	if err != nil {
		return nil, err
	}
	return arg[elementHead:], nil
}

// follow cancels the task's context when the caller's context ends, until stop is called.
func (x *Inline) follow(ctx context.Context, taskCtx *task.Context) (stop func() bool) {
	if !x.patient {
		return context.AfterFunc(ctx, func() { taskCtx.Cancel(ctx.Err()) })
	}
	if w, ok := ctx.(pool.Watcher); ok { // the future can be cancelled even after the deadline
		ctx = w.Watch(inlineJob{taskCtx})
	}
	return context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			taskCtx.Cancel(ctx.Err())
		}
	})
}

// inlineJob is a task that its future can cancel.
type inlineJob struct{ task *task.Context }

func (j inlineJob) Cancelled(cause error) { j.task.Cancel(cause) }

// begins records and logs that a task starts.
func (x *Inline) begins(info task.Info, t inlineTask) {
	x.mu.Lock()
	x.begun[int(info.Worker)] = t
	x.mu.Unlock()
	x.log("mp: task begins", info, "func", t.fn, "attempt", info.Attempt)
}

// ends records and logs that a task has ended. The caller settles the task afterwards.
func (x *Inline) ends(info task.Info, kind uint8) {
	x.mu.Lock()
	t := x.begun[int(info.Worker)]
	delete(x.begun, int(info.Worker))
	x.done[int(info.Worker)]++
	x.mu.Unlock()
	x.log("mp: task ended", info, "took", time.Since(t.since), "outcome", task.Outcome(kind))
}

// log logs an event of a task if x has a trace.
func (x *Inline) log(what string, info task.Info, args ...any) {
	if x.trace == nil {
		return
	}
	args = append(append([]any{"task", info.ID}, args...), "worker", info.Worker, "pid", os.Getpid())
	x.trace.Info(what, args...)
}

func (x *Inline) refuse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}
