//go:build linux

package crew

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// startLimit is how long a worker may take from its start to its hello.
const startLimit = time.Minute

// setupPatience is how long a Setup may take before that is logged. It is a variable for tests.
var setupPatience = 10 * time.Second

// start starts a worker for slot n, or a spare if n is 0, and returns when the worker can serve. It
// calls greeted once the worker has said hello.
func (c *Crew) start(n int, greeted func()) (*member, error) {
	m := &member{crew: c, wake: make(chan struct{}, 1), ears: make(chan struct{}), taken: make(chan struct{}), started: time.Now()}
	m.num.Store(int32(n))
	if c.cfg.Name != nil {
		m.name = c.cfg.Name()
	}

	if err := m.exec(); err != nil {
		permanent := !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOMEM) && !errors.Is(err, syscall.EMFILE) &&
			!errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ETXTBSY) && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrDeadlineExceeded)
		killed := errors.Is(err, spawn.ErrKilled)
		return nil, &StartError{Worker: n, Permanent: permanent && !killed, Killed: killed, Err: err}
	}

	m.trace("started")
	if err := m.handshake(greeted); err != nil {
		err.Worker, err.Started = n, true
		own := m.endsItself(err.Err)
		m.proc.Kill()
		<-m.proc.Done()
		err.Last = m.lastRites()
		err.Killed = own && err.Last.mayBeKilled()

		m.trace("could not serve", "why", err.Err.Error())
		switch {
		case errors.Is(err.Last.Cause, ErrMemory): // otherwise err.Err is at least as informative
			err.Err = fmt.Errorf("it was ended: %w", err.Last.Cause)
		case errors.Is(err.Err, errSilent):
			err.Err = c.endedEarly(err.Last)
		}

		m.link.Close()
		m.broker.close()
		return nil, err
	}

	c.mu.Lock()
	m.ready = true
	c.mu.Unlock()

	m.trace("is ready", "took", time.Since(m.started))
	return m, nil
}

// endedEarly returns the error for a process that ended before mp.Init. If the process wrote
// something, that is a likelier cause than a main that does not call mp.Init.
func (c *Crew) endedEarly(d Death) error {
	const say = "its main must call mp.Init first thing"
	if d.Stderr == "" {
		return fmt.Errorf("%s ended before mp.Init (%v): %s", c.program(), d.Status, say)
	}
	return fmt.Errorf("%s ended before mp.Init (%v):%s\n(%s)", c.program(), d.Status, d.saying(), say)
}

// program names the worker's program in messages.
func (c *Crew) program() string {
	if c.cfg.Path == "" {
		return "it"
	}
	return c.cfg.Path
}

// endsItself reports whether a process that failed with err ended without this pool's doing. A
// dying process closes its socket a moment before its end can be seen.
func (m *member) endsItself(err error) bool {
	if errors.Is(err, errSilent) && m.outlives() || !m.proc.Exiting() {
		return false
	}
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	return m.cause == nil
}

// exec starts the process with its link and outputs.
func (m *member) exec() error {
	c := m.crew
	l, err := link.New()
	if err != nil {
		return err
	}
	m.link = l
	if !c.cfg.Patient {
		l.Watch(max(c.cfg.Grace, leastGrace), m.stuck)
	}

	ours, theirs, err := share.Pair()
	if err != nil {
		l.Close()
		return err
	}
	defer syscall.Close(theirs)
	m.broker.ours = ours

	var outFD, errFD int
	if m.outs, outFD, err = c.out.forward(c.out.stdout); err == nil {
		m.errs, errFD, err = c.out.forward(c.out.stderr)
		if err == nil {
			m.proc, err = spawn.Start(spawn.Spec{
				Path: c.cfg.Path, Args: c.cfg.Args, Title: m.name, Env: c.cfg.Env, Dir: c.cfg.Dir,
				Procs: c.cfg.Link.Procs, Single: c.cfg.Single, Files: append(l.ChildFiles(), theirs), Stdout: outFD, Stderr: errFD,
				Refused: l.HangUp, Cancel: c.closing, Contain: c.cfg.Contain, CPUs: c.cpus(m.number()), Cgroup: c.limits.cgroup, Memory: c.limits.group,
			})
			_ = syscall.Close(errFD)
		}
		_ = syscall.Close(outFD)
	}

	l.CloseChild()
	if err != nil {
		m.outs.abandon()
		m.errs.abandon()
		m.broker.close()
		l.Close()
		return err
	}

	m.watchMemory()
	m.work.Marks = l
	m.outs.run()
	m.errs.run()
	return nil
}

// greeting is a hook for tests, called before a worker is greeted.
var greeting = func() {}

var errSilent = errors.New("no hello")

// says holds what a worker sends before it serves.
type says struct {
	hello  chan link.Hello
	ready  chan struct{}
	failed chan error
}

// fail records why a worker cannot serve. It does not decode a second reason.
func (s says) fail(data []byte, decode func([]byte) error) {
	if len(s.failed) == 0 {
		put(s.failed, decode(data))
	}
}

// handshake starts to listen to the worker and waits until the worker can serve.
func (m *member) handshake(greeted func()) *StartError {
	c := m.crew
	s := says{make(chan link.Hello, 1), make(chan struct{}, 1), make(chan error, 1)}
	go func() {
		defer close(m.ears)
		err := m.link.Serve(link.Events{
			Hello:  func(h link.Hello) { put(s.hello, h) },
			Ready:  func() { put(s.ready, struct{}{}) },
			Failed: func(data []byte) { s.fail(data, c.cfg.OnFail) },
			Stacks: m.heardStacks,
			Broker: m.broker.once(m.served),
			Log:    func(data []byte) { m.logged(data) },
			Wanted: m.wanted,
			Answer: m.answered,
		}, c.cfg.Link.MaxMessage)
		m.deaf(err)
	}()

	cfg := c.cfg.Link
	cfg.Worker, cfg.Single, cfg.Trace = m.number(), c.cfg.Single, c.cfg.Trace
	cfg.Name = m.name
	greeting()
	_ = m.link.Greet(cfg) // if this fails, the worker does not answer, and awaitHello reports that

	hello, err := m.awaitHello(s)
	if err != nil {
		return err
	}
	if err := m.agree(hello); err != nil {
		return &StartError{Err: err, Permanent: true}
	}

	c.mu.Lock()
	if c.greeter == nil {
		c.greeter = m.proc
	}
	c.mu.Unlock()
	greeted()

	select {
	// From here on it may run the user's code.
	case <-m.proc.Guarded():
	case <-m.proc.Done():
	case <-c.closing:
		return &StartError{Err: errs.ErrClosed}
	}

	if cfg.Setup.Name != "" {
		_ = m.link.Go()
	}

	failed := m.awaitReady(s)
	if failed != nil {
		failed.InSetup = cfg.Setup.Name != ""
	}
	return failed
}

func (m *member) awaitHello(s says) (link.Hello, *StartError) {
	var limit <-chan time.Time
	if !m.crew.cfg.Patient {
		timer := time.NewTimer(startLimit)
		defer timer.Stop()
		limit = timer.C
	}

	select {
	case h := <-s.hello:
		return h, nil
	case <-m.proc.Done():
	case <-m.ears:
	case <-limit:
		return link.Hello{}, &StartError{Err: fmt.Errorf("no word from it for %v: does its main call mp.Init?", startLimit)}
	case <-m.crew.closing:
		return link.Hello{}, &StartError{Err: errs.ErrClosed}
	}

	err := m.lastMessage(s, errSilent)
	select {
	case h := <-s.hello:
		return h, nil // it ended after its hello
	default:
		return link.Hello{}, &StartError{Err: err}
	}
}

func (m *member) awaitReady(s says) *StartError {
	patience := setupPatience
	late := time.AfterFunc(patience, func() { m.reportSetup(patience) })
	defer late.Stop()
	select {
	case <-s.ready:
	case err := <-s.failed:
		return &StartError{Err: err}
	case <-m.proc.Done():
		return &StartError{Err: m.lastMessage(s, fmt.Errorf("it ended in its setup with %v", m.proc.Status()))}
	case <-m.ears:
		return &StartError{Err: m.lastMessage(s, errors.New("it closed its socket in its setup"))}
	case <-m.crew.closing:
		return &StartError{Err: errs.ErrClosed}
	}
	return nil
}

// reportSetup logs that a Setup hangs or takes long, since no task runs until it returns.
func (m *member) reportSetup(after time.Duration) {
	if c := m.crew; c.cfg.Logger != nil {
		c.cfg.Logger.Warn("mp: the Setup of a worker has not returned", "worker", m.number(), "pid", m.proc.PID, "func", c.cfg.Link.Setup.Name, "after", after)
	}
}

// lastMessage reads the remaining messages of a dead worker. It returns the reason that the worker
// gave, or otherwise if it gave none.
func (m *member) lastMessage(s says, otherwise error) error {
	m.link.EndReading()
	<-m.ears
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

// agree checks that worker and parent agree on the types of the functions that both have. It
// records the functions that the worker has.
func (m *member) agree(h link.Hello) error {
	c := m.crew
	if h.Version != link.Version {
		return fmt.Errorf("it speaks version %d of the protocol, this program %d: build both with one version of mp", h.Version, link.Version)
	}
	if c.cfg.Build != "" && h.Build != c.cfg.Build {
		return fmt.Errorf("it is not the program that started it (build %.12s…, not %.12s…): was %s replaced by a wrapper?", h.Build, c.cfg.Build, os.Args[0])
	}

	ours := map[string]link.FuncID{}
	for _, f := range c.cfg.Funcs {
		ours[f.Name] = f
	}

	m.fns = make(map[string]int, len(h.Funcs))
	for i, f := range h.Funcs {
		if mine, both := ours[f.Name]; both && mine != f {
			return fmt.Errorf("it has the function %s with another argument or result type: rebuild the worker binary and this program from the same source", strconv.Quote(f.Name))
		}
		m.fns[f.Name] = i
	}
	return nil
}
