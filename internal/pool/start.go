//go:build linux

package pool

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// startLimit is how long a worker may take from its start until it says hello.
const startLimit = time.Minute

// setupWarnAfter is how long a Setup may take before a warning is logged. It is a variable so that
// tests can change it.
var setupWarnAfter = 10 * time.Second

// start starts a worker for slot n, or a spare if n is 0, and returns when the worker can serve. It
// calls greeted when the worker has said hello.
func (p *Pool) start(n int, greeted func()) (*worker, error) {
	w := &worker{pool: p, wake: make(chan struct{}, 1), readerDone: make(chan struct{}), taken: make(chan struct{}), started: time.Now()}
	w.num.Store(int32(n))
	if p.cfg.Name != nil {
		w.name = p.cfg.Name()
	}

	if err := w.exec(); err != nil {
		permanent := !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOMEM) && !errors.Is(err, syscall.EMFILE) &&
			!errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ETXTBSY) && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrDeadlineExceeded)
		killed := errors.Is(err, spawn.ErrKilled)
		return nil, &StartError{Worker: n, Permanent: permanent && !killed, Killed: killed, Err: err}
	}

	w.trace("started")
	if err := w.handshake(greeted); err != nil {
		err.Worker, err.Started = n, true
		own := w.endsItself(err.Err)
		w.proc.Kill()
		<-w.proc.Done()
		err.Last = w.drainOutput()
		err.Killed = own && err.Last.mayBeKilled()

		w.trace("could not serve", "why", err.Err.Error())
		switch {
		case errors.Is(err.Last.Cause, ErrMemory): // any other cause says no more than err.Err
			err.Err = fmt.Errorf("it was ended: %w", err.Last.Cause)
		case errors.Is(err.Err, errSilent):
			err.Err = p.endedEarly(err.Last)
		}

		w.link.Close()
		w.broker.close()
		return nil, err
	}

	p.mu.Lock()
	w.ready = true
	p.mu.Unlock()

	w.trace("is ready", "took", time.Since(w.started))
	return w, nil
}

// endedEarly returns the error for a process that ended before mp.Init. If the process wrote
// something to stderr, the error gives that first, because it is more likely to name the cause than
// the hint about mp.Init.
func (p *Pool) endedEarly(d Death) error {
	const say = "its main must call mp.Init first thing"
	if d.Stderr == "" {
		return fmt.Errorf("%s ended before mp.Init (%v): %s", p.program(), d.Status, say)
	}
	return fmt.Errorf("%s ended before mp.Init (%v):%s\n(%s)", p.program(), d.Status, d.saying(), say)
}

// program returns the name of the worker's program for messages.
func (p *Pool) program() string {
	if p.cfg.Path == "" {
		return "it"
	}
	return p.cfg.Path
}

// endsItself reports whether a process that failed with err ended on its own, that is, was not
// ended by this pool. A dying process closes its socket a moment before its end becomes visible.
func (w *worker) endsItself(err error) bool {
	if errors.Is(err, errSilent) && w.outlives() || !w.proc.Exiting() {
		return false
	}
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.cause == nil
}

// exec starts the process with its link and outputs.
func (w *worker) exec() error {
	p := w.pool
	l, err := link.New()
	if err != nil {
		return err
	}
	w.link = l
	if !p.cfg.Patient {
		l.Watch(max(p.cfg.Grace, minGrace), w.stuck)
	}

	ours, theirs, err := objects.Pair()
	if err != nil {
		l.Close()
		return err
	}
	defer syscall.Close(theirs)
	w.broker.ours = ours

	var outFD, errFD int
	if w.outs, outFD, err = p.out.forward(p.out.stdout); err == nil {
		w.errs, errFD, err = p.out.forward(p.out.stderr)
		if err == nil {
			w.proc, err = spawn.Start(spawn.Spec{
				Path: p.cfg.Path, Args: p.cfg.Args, Title: w.name, Env: p.cfg.Env, Dir: p.cfg.Dir,
				Procs: p.cfg.Link.Procs, Single: p.cfg.Single, Files: append(l.ChildFiles(), theirs), Stdout: outFD, Stderr: errFD,
				Refused: l.HangUp, Cancel: p.closing, Contain: p.cfg.Contain, CPUs: p.cpus(w.number()), Cgroup: p.limits.cgroup, Memory: p.limits.group,
			})
			_ = syscall.Close(errFD)
		}
		_ = syscall.Close(outFD)
	}

	l.CloseChild()
	if err != nil {
		w.outs.abandon()
		w.errs.abandon()
		w.broker.close()
		l.Close()
		return err
	}

	w.watchMemory()
	w.work.Marks = l
	w.outs.run()
	w.errs.run()
	return nil
}

// greeting is a hook for tests, called before a worker is greeted.
var greeting = func() {}

var errSilent = errors.New("no hello")

// startup holds the messages that a worker sends before it serves.
type startup struct {
	hello  chan link.Hello
	ready  chan struct{}
	failed chan error
}

// fail records why a worker cannot serve. It ignores a second reason.
func (s startup) fail(data []byte, decode func([]byte) error) {
	if len(s.failed) == 0 {
		put(s.failed, decode(data))
	}
}

// handshake starts to listen to the worker and waits until the worker can serve.
func (w *worker) handshake(greeted func()) *StartError {
	p := w.pool
	s := startup{make(chan link.Hello, 1), make(chan struct{}, 1), make(chan error, 1)}
	go func() {
		defer close(w.readerDone)
		err := w.link.Serve(link.Events{
			Hello:  func(h link.Hello) { put(s.hello, h) },
			Ready:  func() { put(s.ready, struct{}{}) },
			Failed: func(data []byte) { s.fail(data, p.cfg.OnFail) },
			Stacks: w.heardStacks,
			Broker: w.broker.once(w.served),
			Log:    func(data []byte) { w.logged(data) },
			Wanted: w.wanted,
			Answer: w.answered,
		}, p.cfg.Link.MaxMessage)
		w.onSocketLost(err)
	}()

	cfg := p.cfg.Link
	cfg.Worker, cfg.Single, cfg.Trace = w.number(), p.cfg.Single, p.cfg.Trace
	cfg.Name = w.name
	greeting()
	_ = w.link.Greet(cfg) // if this fails, the worker does not answer, and awaitHello reports that

	hello, err := w.awaitHello(s)
	if err != nil {
		return err
	}
	if err := w.agree(hello); err != nil {
		return &StartError{Err: err, Permanent: true}
	}

	p.mu.Lock()
	if p.firstProc == nil {
		p.firstProc = w.proc
	}
	p.mu.Unlock()
	greeted()

	select {
	// From here on, the worker may run the user's code.
	case <-w.proc.Guarded():
	case <-w.proc.Done():
	case <-p.closing:
		return &StartError{Err: errs.ErrClosed}
	}

	if cfg.Setup.Name != "" {
		_ = w.link.Go()
	}

	failed := w.awaitReady(s)
	if failed != nil {
		failed.InSetup = cfg.Setup.Name != ""
	}
	return failed
}

func (w *worker) awaitHello(s startup) (link.Hello, *StartError) {
	var limit <-chan time.Time
	if !w.pool.cfg.Patient {
		timer := time.NewTimer(startLimit)
		defer timer.Stop()
		limit = timer.C
	}

	select {
	case h := <-s.hello:
		return h, nil
	case <-w.proc.Done():
	case <-w.readerDone:
	case <-limit:
		return link.Hello{}, &StartError{Err: fmt.Errorf("no word from it for %v: does its main call mp.Init?", startLimit)}
	case <-w.pool.closing:
		return link.Hello{}, &StartError{Err: errs.ErrClosed}
	}

	err := w.lastMessage(s, errSilent)
	select {
	case h := <-s.hello:
		return h, nil // the worker ended after its hello
	default:
		return link.Hello{}, &StartError{Err: err}
	}
}

func (w *worker) awaitReady(s startup) *StartError {
	after := setupWarnAfter
	late := time.AfterFunc(after, func() { w.reportSetup(after) })
	defer late.Stop()
	select {
	case <-s.ready:
	case err := <-s.failed:
		return &StartError{Err: err}
	case <-w.proc.Done():
		return &StartError{Err: w.lastMessage(s, fmt.Errorf("it ended in its setup with %v", w.proc.Status()))}
	case <-w.readerDone:
		return &StartError{Err: w.lastMessage(s, errors.New("it closed its socket in its setup"))}
	case <-w.pool.closing:
		return &StartError{Err: errs.ErrClosed}
	}
	return nil
}

// reportSetup logs that a Setup has not returned. That matters because no task runs until Setup
// returns.
func (w *worker) reportSetup(after time.Duration) {
	if p := w.pool; p.cfg.Logger != nil {
		p.cfg.Logger.Warn("mp: the Setup of a worker has not returned", "worker", w.number(), "pid", w.proc.PID, "func", p.cfg.Link.Setup.Name, "after", after)
	}
}

// lastMessage reads the remaining messages of a dead worker. It returns the reason that the worker
// gave. If the worker did not give one, lastMessage returns the error otherwise.
func (w *worker) lastMessage(s startup, otherwise error) error {
	w.link.EndReading()
	<-w.readerDone
	select {
	case err := <-s.failed:
		return err
	default:
		return otherwise
	}
}

// put sends v to ch unless ch is full. It never blocks, even if a worker repeats a message.
func put[T any](ch chan T, v T) {
	select {
	case ch <- v:
	default:
	}
}

// agree checks that worker and parent agree on the protocol, the build and the types of the
// functions that both have. It records which functions the worker has.
func (w *worker) agree(h link.Hello) error {
	p := w.pool
	if h.Version != link.Version {
		return fmt.Errorf("it speaks version %d of the protocol, this program %d: build both with one version of mp", h.Version, link.Version)
	}
	if p.cfg.Build != "" && h.Build != p.cfg.Build {
		return fmt.Errorf("it is not the program that started it (build %.12s…, not %.12s…): was %s replaced by a wrapper?", h.Build, p.cfg.Build, os.Args[0])
	}

	ours := map[string]link.FuncID{}
	for _, f := range p.cfg.Funcs {
		ours[f.Name] = f
	}

	w.fns = make(map[string]int, len(h.Funcs))
	for i, f := range h.Funcs {
		if mine, both := ours[f.Name]; both && mine != f {
			return fmt.Errorf("it has the function %s with another argument or result type: rebuild the worker binary and this program from the same source", strconv.Quote(f.Name))
		}
		w.fns[f.Name] = i
	}
	return nil
}
