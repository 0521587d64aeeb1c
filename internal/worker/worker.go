//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/task"
)

// The data of a failure fits in a message, however small MaxMessage is.
var _ [link.MaxFailure - max(task.MaxFailure, errtree.MaxEncoded)]struct{}

// maxBuf is the maximum size of a buffer that is reused for the next result.
const maxBuf = 4 << 20

type worker struct {
	port     *link.Port
	cfg      link.Config
	program  Program
	contexts task.Contexts
	buf      []byte

	// The fields below belong to the loop's goroutine.
	trace  *slog.Logger // for the events of tasks; nil if they are not logged
	began  time.Time    // the start of the current task
	inTask bool
	ctx    *task.Context
	err    error // why the loop ends
	code   int   // the exit code
}

// Serve serves the parent until the parent tells the worker to stop or is gone. It returns the exit
// code.
func Serve(p Program) int {
	port, cfg, err := link.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mp: worker:", err)
		return 1
	}
	if err := impose(cfg.Limits); err != nil {
		_ = port.Fail(errtree.Append(nil, err))
		return 1
	}

	task.Committed = port.Committed()
	objects.SetParent(link.BrokerFD, port.AskBroker)
	if !cfg.Single {
		objects.TasksTell()
	}

	w := &worker{port: port, cfg: cfg, program: p}
	if err := w.greet(); err != nil {
		return 1
	}

	goOn := w.listen()
	if cfg.Setup.Name != "" {
		<-goOn // Setup may start processes, so the worker must be guarded first
	}
	if err := w.bound(cfg.Setup); err != nil {
		_ = port.Fail(errtree.Append(nil, fmt.Errorf("its setup %s failed: %w", cfg.Setup.Name, err)))
		return 1
	}
	if cfg.Setup.Name != "" {
		keepDeathSignal()
	}

	if err := port.Ready(); err != nil {
		return 1
	}

	over := make(chan error)
	go w.loop(over)
	if err := <-over; !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "mp: worker:", err)
		return 1
	}
	if err := w.bound(cfg.Teardown); err != nil {
		fmt.Fprintf(os.Stderr, "mp: teardown %s failed: %v\n", cfg.Teardown.Name, err)
		return 1
	}
	return w.code
}

// greet introduces the worker to the parent. From then on, log records are sent to the parent.
func (w *worker) greet() error {
	hello := link.Hello{Build: w.program.Build}
	for _, f := range w.program.Functions {
		hello.Funcs = append(hello.Funcs, f.ID)
	}
	if err := w.port.Hello(hello); err != nil {
		return err
	}
	if logger := w.program.Start(w.cfg, w.port.Log); w.cfg.Trace {
		w.trace = logger
	}
	return nil
}

// listen handles the parent's requests other than tasks, and ends the process when the parent is
// gone. The returned channel receives a value once the worker is guarded.
func (w *worker) listen() (goOn <-chan struct{}) {
	guarded := make(chan struct{}, 1)
	asked := questions{answer: w.port.Answer}
	requests := link.Requests{Cancel: cancelTask, Stacks: stacks, Go: func() { put(guarded) }, Ask: asked.ask}
	go func() {
		if err := w.port.Serve(requests); !errors.Is(err, io.EOF) {
			fmt.Fprintln(os.Stderr, "mp: worker:", err)
		}
		os.Exit(1)
	}()
	return guarded
}

// put sends on ch without blocking.
func put(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// exitCodes contains the exit codes of a worker that runs a single task, by kind of outcome. The
// codes are Python's, except that the code for a panic is Go's.
var exitCodes = map[uint8]int{task.OK: 0, task.Failed: 1, task.Panicked: 2, task.Exited: 1}

// bound runs a setup or teardown function.
func (w *worker) bound(b link.Bound) error {
	if b.Name == "" {
		return nil
	}
	for _, f := range w.program.Functions {
		if f.ID.Name == b.Name {
			return w.runBound(f, b)
		}
	}
	return errors.New("this program has no such function")
}

func (w *worker) runBound(f Function, b link.Bound) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("it called runtime.Goexit")
		defer func() { result <- err }()

		ctx := w.contexts.New(task.Info{Worker: uint16(w.cfg.Worker)})
		defer ctx.Cancel(context.Canceled)

		kind, data := task.Run(ctx, f.Run, b.Arg, nil)
		switch kind {
		case task.OK:
			err = nil
		case task.Failed:
			err = errtree.Decode(data)
		case task.Panicked:
			p, _ := task.ParsePanic(data)
			err = fmt.Errorf("panic: %s", p.Text)
			fmt.Fprintf(os.Stderr, "panic: %s\n\n%s", p.Text, p.Stack)
		}
	}()
	return <-result
}

// loop runs tasks until the link ends. A task that panics or calls runtime.Goexit ends the
// goroutine, and a new goroutine continues. For all other tasks, this costs less than a deferred
// recover in each task.
func (w *worker) loop(over chan<- error) {
	defer w.goOn(over)
	defer w.catch()
	for w.err == nil {
		t, err := w.port.Next()
		if n := len(w.program.Functions); err == nil && t.Func >= n {
			err = fmt.Errorf("the parent asks for function %d of %d", t.Func, n)
		}
		if err != nil {
			w.err = err
			return
		}
		w.run(t)
	}
}

func (w *worker) run(t *link.Task) {
	w.inTask = true
	objects.BeginTask()
	w.cfg.Worker = t.Worker // a spare worker gets its number with its slot
	w.ctx = w.contexts.New(task.Info{ID: t.ID, Seq: t.Seq, Worker: uint16(t.Worker), Attempt: uint16(t.Attempt)})
	if t.Due != nil {
		w.ctx.SetDeadline(t.Due)
	}

	f := &w.program.Functions[t.Func]
	if w.trace != nil {
		w.began = time.Now()
		w.trace.Info("mp: task begins", "task", t.ID, "func", f.ID.Name, "attempt", t.Attempt)
	}

	ctx := context.Context(w.ctx)
	if len(t.Baggage) > 0 {
		ctx = w.program.Unpack(ctx, t.Baggage)
	}

	data, err := f.Run(ctx, t.In, w.buf[:0])
	kind := uint8(task.OK)
	if err != nil {
		kind, data = task.Failed, errtree.Append(w.buf[:0], err)
	}

	w.finish(kind, data)
	if cap(data) <= maxBuf && cap(data) > cap(w.buf) {
		w.buf = data
	}
}

// cancelTask cancels the context of a task whose caller's context has ended.
func cancelTask(seq uint32, deadline bool) {
	err := context.Canceled
	if deadline {
		err = context.DeadlineExceeded
	}
	task.CancelRunning(seq, err)
}

// finish ends the task's context and commits its outcome.
func (w *worker) finish(kind uint8, data []byte) {
	w.inTask = false
	w.ctx.End()
	if w.trace != nil {
		info, _ := task.InfoFrom(w.ctx)
		w.trace.Info("mp: task ended", "task", info.ID, "took", time.Since(w.began), "outcome", task.Outcome(kind))
	}
	if err := w.port.Finish(kind, data); err != nil {
		w.err = err
	} else if w.cfg.Single {
		w.err, w.code = io.EOF, exitCodes[kind]
	}
	w.ctx.End()
	objects.EndTask()
}

// catch commits a panic of the task as its outcome.
func (w *worker) catch() {
	if !w.inTask {
		return
	}
	if r := recover(); r != nil {
		if w.cfg.Single {
			fmt.Fprintf(os.Stderr, "panic: %v\n\n%s", r, debug.Stack())
		}
		w.finish(task.Panicked, task.AppendPanic(w.buf[:0], r))
	}
}

// goOn is the last function that a loop's goroutine calls, however the goroutine ends.
func (w *worker) goOn(over chan<- error) {
	if w.inTask {
		w.finish(task.Exited, nil)
	}
	if w.err != nil {
		over <- w.err
		return
	}
	go w.loop(over)
}
