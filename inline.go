package mp

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/crew"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// InlineConfig describes an [Inline] executor. The zero value is good.
type InlineConfig struct {
	// Workers is how many tasks run at once; 0 means [NumCPU].
	Workers int
}

// Inline is an [Executor] that runs tasks in this process, for debuggers and
// for tests: arguments, results and errors are encoded and decoded as they are
// on the way to a worker and back, panics are caught, but a task that crashes or
// hangs does so here. It needs no [Init].
type Inline struct {
	slots chan int // numbers of free workers
	ctx   context.Context
	end   context.CancelCauseFunc

	mu     sync.Mutex
	closed bool
	begun  map[int]element // by worker
	tasks  sync.WaitGroup
	nextID atomic.Uint64
}

// element is one of a batch.
type element struct {
	batch Batch
	index int
}

// NewInline makes an Inline executor. The error says which field of the config
// is bad.
func NewInline(config InlineConfig) (*Inline, error) {
	if config.Workers < 0 {
		return nil, fmt.Errorf("mp: InlineConfig.Workers is %d: it must not be negative", config.Workers)
	}
	n := config.Workers
	if n == 0 {
		n = NumCPU()
	}
	if err := functions.seal(); err != nil {
		return nil, err
	}
	x := &Inline{slots: make(chan int, n), begun: map[int]element{}}
	for w := range n {
		x.slots <- w + 1
	}
	x.ctx, x.end = context.WithCancelCause(context.Background())
	return x, nil
}

func (x *Inline) numWorkers() int { return cap(x.slots) }

// Execute implements [Executor]. It returns when the last task has begun.
func (x *Inline) Execute(ctx context.Context, function string, b Batch, h Hints) error {
	if err := h.check(); err != nil {
		return err
	}
	f, ok := functions.lookup(function)
	if !ok {
		return fmt.Errorf("mp: no function %q is registered", function)
	}
	if ctx.Err() != nil {
		return crew.CauseOf(ctx)
	}
	n := b.Len()
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return ErrClosed
	}
	x.tasks.Add(n)
	x.mu.Unlock()
	id := x.nextID.Add(uint64(n)) - uint64(n) + 1
	for i := range n {
		x.begin(ctx, f, b, i, id+uint64(i), h.Timeout)
	}
	return nil
}

// begin waits for a free slot and runs element i in it.
func (x *Inline) begin(ctx context.Context, f function, b Batch, i int, id uint64, timeout time.Duration) {
	var cause error
	select {
	case worker := <-x.slots:
		if cause = x.over(ctx); cause == nil {
			go x.run(ctx, f, b, i, runner.Info{ID: id, Attempt: 1, Worker: uint16(worker)}, timeout)
			return
		}
		x.slots <- worker
	case <-ctx.Done():
		cause = &crew.Cancelled{Cause: crew.CauseOf(ctx)}
	case <-x.ctx.Done():
		cause = ErrClosed
	}
	b.Settle(i, nil, cause)
	x.tasks.Done()
}

func (x *Inline) over(ctx context.Context) error {
	switch {
	case x.ctx.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return &crew.Cancelled{Cause: crew.CauseOf(ctx)}
	}
	return nil
}

// run runs one task and settles it.
func (x *Inline) run(ctx context.Context, f function, b Batch, i int, info runner.Info, timeout time.Duration) {
	defer x.tasks.Done()
	defer func() { x.slots <- int(info.Worker) }()
	x.note(int(info.Worker), element{b, i})
	defer x.note(int(info.Worker), element{})
	arg, n, err := b.Encode(nil, i, i+1)
	if err != nil || n != 1 || len(arg) < elementHead || int(binary.LittleEndian.Uint32(arg)) != len(arg)-elementHead {
		if err == nil {
			err = fmt.Errorf("mp: Encode took %d of 1 elements in %d bytes", n, len(arg))
		}
		b.Settle(i, nil, err)
		return
	}
	var all runner.Contexts
	task := all.New(info)
	defer task.Cancel(context.Canceled)
	defer context.AfterFunc(ctx, func() { task.Cancel(ctx.Err()) })()
	if timeout > 0 {
		defer time.AfterFunc(timeout, func() { task.Cancel(context.DeadlineExceeded) }).Stop()
	}
	defer context.AfterFunc(x.ctx, func() { task.Cancel(context.Canceled) })()
	kind, data := uint8(runner.Exited), []byte(nil)
	defer func() { // also when the task calls runtime.Goexit
		if err := outcomeError(kind, data); err != nil {
			b.Settle(i, nil, err)
			return
		}
		b.Settle(i, data, nil)
	}()
	kind, data = runner.Run(task, f.runner(), arg[elementHead:], nil)
}

func (x *Inline) note(worker int, e element) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begun[worker] = e
}

func (x *Inline) isRunning(b Batch, i int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.begun {
		if e == (element{b, i}) {
			return true
		}
	}
	return false
}

// Shutdown takes no more tasks and waits for those it has. When ctx ends first,
// it ends the rest as Close does and returns the context's error.
func (x *Inline) Shutdown(ctx context.Context) error {
	x.refuse()
	done := make(chan struct{})
	go func() { x.tasks.Wait(); close(done) }()
	select {
	case <-done:
		return x.Close()
	case <-ctx.Done():
		x.end(ErrClosed)
		return crew.CauseOf(ctx)
	}
}

// Close takes no more tasks, cancels the contexts of those that run and waits
// for them: unlike a [Pool], it cannot kill them. Those that have not begun get
// [ErrClosed]. Closing twice is fine.
func (x *Inline) Close() error {
	x.refuse()
	x.end(ErrClosed)
	x.tasks.Wait()
	return nil
}

func (x *Inline) refuse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}
