//go:build linux

package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/runner"
)

// maxBuf is how large a buffer may be to be kept for the next result.
const maxBuf = 1 << 20

type worker struct {
	port *link.Port
	cfg  link.Config
	fns  []Function
	made runner.Contexts
	buf  []byte

	// Of the loop's goroutine.
	inTask bool
	ctx    *runner.Context
}

// Serve serves the parent until it is told to stop or the parent is gone, and
// returns the exit code. logTo is called with a function that sends log
// records to the parent, before anything of the user's is run.
func Serve(fns []Function, build string, start func(cfg link.Config, log func([]byte) error)) int {
	swallowSignals()
	port, cfg, err := link.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mp: worker:", err)
		return 1
	}
	w := &worker{port: port, cfg: cfg, fns: fns}
	hello := link.Hello{Build: build}
	for _, f := range fns {
		hello.Funcs = append(hello.Funcs, f.ID)
	}
	if err := port.Hello(hello); err != nil {
		return 1
	}
	start(cfg, port.Log)
	go func() {
		_ = port.Serve(runner.CancelRunning)
		os.Exit(1) // the parent is gone
	}()
	if err := w.bound(cfg.Setup); err != nil {
		_ = port.Fail(errtree.Append(nil, fmt.Errorf("its setup %s failed: %w", cfg.Setup.Name, err)))
		return 1
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
	return 0
}

// swallowSignals keeps a terminal's or a supervisor's signal from ending
// workers: the parent, which gets it too, decides. They are caught, not
// ignored, because what is ignored stays so in programs that a task executes.
func swallowSignals() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM)
}

// bound runs a setup or teardown function.
func (w *worker) bound(b link.Bound) error {
	if b.Name == "" {
		return nil
	}
	for _, f := range w.fns {
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
		ctx := w.made.New(runner.Info{Worker: uint16(w.cfg.Worker)})
		defer ctx.Cancel()
		kind, data := runner.Run(ctx, f.Run, b.Arg, nil)
		switch kind {
		case runner.OK:
			err = nil
		case runner.Failed:
			err = errtree.Decode(data)
		case runner.Panicked:
			p, _ := runner.ParsePanic(data)
			err = fmt.Errorf("panic: %s\n%s", p.Text, p.Stack)
		}
	}()
	return <-result
}

// loop runs tasks until there will be no more. A task that calls
// runtime.Goexit ends the goroutine; a new one goes on.
func (w *worker) loop(over chan<- error) {
	defer func() {
		if !w.inTask {
			return
		}
		w.inTask = false
		w.ctx.Cancel()
		if err := w.port.Finish(runner.Exited, nil); err != nil {
			over <- err
			return
		}
		go w.loop(over)
	}()
	for {
		t, err := w.port.Next()
		if err == nil && t.Func >= len(w.fns) {
			err = fmt.Errorf("the parent asks for function %d of %d", t.Func, len(w.fns))
		}
		if err == nil {
			w.inTask = true
			kind, data := w.run(t)
			w.inTask = false
			err = w.port.Finish(kind, data)
		}
		if err != nil {
			over <- err
			return
		}
	}
}

func (w *worker) run(t *link.Task) (kind uint8, data []byte) {
	ctx := w.made.New(runner.Info{ID: t.ID, Seq: t.Seq, Worker: uint16(w.cfg.Worker), Attempt: uint16(t.Attempt)})
	w.ctx = ctx
	kind, data = runner.Run(ctx, w.fns[t.Func].Run, t.In, w.buf[:0])
	ctx.Cancel()
	if cap(data) <= maxBuf && cap(data) > cap(w.buf) {
		w.buf = data
	}
	return kind, data
}
