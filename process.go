package mp

import (
	"context"
	"fmt"
	"sync"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/crew"
)

// A Process runs one function once, in a process of its own. It is made by
// [NewProcess] and safe for concurrent use.
//
// Its standard input is empty, its output goes where [ProcessConfig].Output says.
// SIGTERM ends it unless its function handles that; a terminal's signals do not
// reach it. When the function has returned, the process exits: with code 0, with
// 1 if it returned an error, with 2 if it panicked, and then the panic and its
// stack are on stderr too. What the function has started in its process group
// ends with it.
type Process[Out any] struct {
	name   string
	cfg    ProcessConfig
	submit func(ex Executor) *Future[Out]
	ended  chan struct{}

	mu     sync.Mutex
	state  processState
	engine engine
	pid    int
	death  crew.Death
	result *Future[Out]
	left   error // why something of it is still there
	closed bool
}

type processState int

const (
	processNew processState = iota
	processRunning
	processEnded
)

// ProcessConfig describes a [Process]. The zero value is good.
type ProcessConfig struct {
	// Name is for people: ps shows it behind the program's name, and the process
	// knows it as [Current]().Name. "" means one that shows the lineage: worker-1
	// is the first child of the main process, worker-1:2 its second child.
	Name string

	// Daemon says that [WaitChildren] does not wait for the process. Every
	// process ends with its parent.
	Daemon bool

	// The others are as in [PoolConfig].
	Procs      int
	Env        []string
	Dir        string
	Executable string
	Limits     Limits
	Output     Output
	MaxMessage int

	RequireContainment Containment
}

// pool is the config of the pool of one that runs the process.
func (c ProcessConfig) pool() PoolConfig {
	return PoolConfig{Workers: 1, Procs: c.Procs, Env: c.Env, Dir: c.Dir, Executable: c.Executable, Limits: c.Limits, Output: c.Output, MaxMessage: c.MaxMessage, RequireContainment: c.RequireContainment}
}

// NewProcess makes a process that will run f with arg; [Process.Start] starts it.
// The error says which field of the config is bad. The argument is encoded by Start. If it
// cannot be encoded, or is longer than [ProcessConfig].MaxMessage, Start succeeds all the
// same, the function does not run, and [Process.Wait] returns the [*CodecError].
func NewProcess[In, Out any](f *Func[In, Out], arg In, cfg ProcessConfig) (*Process[Out], error) {
	if f == nil {
		return nil, errNoFunc
	}
	if _, err := cfg.pool().complete("ProcessConfig"); err != nil {
		return nil, err
	}
	p := &Process[Out]{name: cfg.Name, cfg: cfg, ended: make(chan struct{})}
	p.submit = func(ex Executor) *Future[Out] { return submit(context.Background(), ex, f, arg, Hints{}) }
	if p.name == "" {
		p.name = nextName()
	}
	return p, nil
}

// Name returns the process's name.
func (p *Process[Out]) Name() string { return p.name }

// Daemon reports whether WaitChildren leaves it out.
func (p *Process[Out]) Daemon() bool { return p.cfg.Daemon }

// Start starts the process and returns once it has answered, some milliseconds, or
// with an error that says why it cannot run, and then nothing is left. Starting
// twice is an error. Without [Init] the error is [ErrNotInitialized].
func (p *Process[Out]) Start() error {
	if !p.made() {
		return errNoProcess
	}
	if !initialized.Load() {
		return ErrNotInitialized
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case p.state != processNew:
		return fmt.Errorf("mp: the process %s was started before: make another to run the function again", p.name)
	}
	died := make(chan crew.Death, 1)
	e, err := p.newEngine(func(d crew.Death) { died <- d })
	if err != nil {
		return err
	}
	p.engine, p.state, p.pid = e, processRunning, e.PID()
	children.add(p, ProcessInfo{Name: p.name, PID: p.pid, Daemon: p.cfg.Daemon})
	go p.follow(p.submit(soloExecutor{e}), died)
	p.submit = nil // it keeps the argument, and a Process may live for long
	return nil
}

// newEngine starts the engine that runs the process. It calls onEnd at the end of the process.
func (p *Process[Out]) newEngine(onEnd func(crew.Death)) (engine, error) {
	cfg, err := p.cfg.pool().complete("ProcessConfig")
	if err != nil {
		return nil, err
	}
	ec, err := cfg.engineConfig("ProcessConfig")
	if err != nil {
		return nil, err
	}

	ec.Single, ec.Link.Daemon = true, p.cfg.Daemon
	ec.Name = func() string { return p.name }
	ec.OnEnd = onEnd
	return newEngine("ProcessConfig", ec)
}

// soloExecutor runs tasks on an engine as it is.
type soloExecutor struct{ engine engine }

func (s soloExecutor) Execute(ctx context.Context, function string, b Batch, h Hints) error {
	return translate(s.engine.Execute(ctx, function, b, crew.Hints(h)))
}

// follow waits for the end, and keeps what is left of the process.
func (p *Process[Out]) follow(f *Future[Out], died <-chan crew.Death) {
	<-f.Done()
	// It exits by itself, unless there was no task for it, because the argument
	// could not be encoded for instance.
	left := p.engine.Shutdown(context.Background())
	death := <-died
	p.mu.Lock()
	p.result, p.left, p.death, p.state = f, left, death, processEnded
	p.mu.Unlock()
	children.remove(p)
	close(p.ended)
}

// made reports whether p is what NewProcess returns.
func (p *Process[Out]) made() bool { return p != nil && p.ended != nil }

// PID returns the number of the process; 0 before Start.
func (p *Process[Out]) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Alive reports whether it was started and has not ended.
func (p *Process[Out]) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == processRunning
}

// Done returns a channel that is closed when the process has ended and nothing of it is
// left, or when it was closed without having been started.
func (p *Process[Out]) Done() <-chan struct{} {
	if !p.made() {
		return closedChannel
	}
	return p.ended
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Wait waits for the end of the process and returns what the function returned,
// every caller the same. All that the process has printed has then arrived. The
// error is the function's, a [*PanicError], or, if the process ended otherwise, a
// [*WorkerError]; of a process that was never started, an error that says so. When
// ctx ends first, its error is returned, and the process goes on.
func (p *Process[Out]) Wait(ctx context.Context) (Out, error) {
	var none Out
	if err := p.usable(); err != nil {
		return none, err
	}
	if p.Alive() { // otherwise the result comes first, whatever became of ctx
		select {
		case <-p.ended:
		case <-ctx.Done():
			return none, cause.Of(ctx)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return none, ErrClosed
	}
	return p.result.Result(ctx)
}

func (p *Process[Out]) usable() error {
	if !p.made() {
		return errNoProcess
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case p.state == processNew:
		return fmt.Errorf("mp: the process %s has not been started", p.name)
	}
	return nil
}

// ExitCode returns the code with which the process exited, or minus the number of
// the signal that ended it. ok is false before its end, and if its exit status is lost
// (see [ReasonUnknown]). Code 0 does not say that the function ran, see [NewProcess]: Wait does.
func (p *Process[Out]) ExitCode() (code int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != processEnded || p.death.Status.Lost {
		return 0, false
	}
	if s := p.death.Status.Signal; s != 0 {
		return -int(s), true
	}
	return p.death.Status.ExitCode, true
}

// Terminate sends the process SIGTERM. After its end that does nothing.
func (p *Process[Out]) Terminate() error { return p.Signal(syscall.SIGTERM) }

// Kill ends the process with its process group, at once. After its end that does
// nothing.
func (p *Process[Out]) Kill() error { return p.Signal(syscall.SIGKILL) }

// Signal sends the process a signal. After its end that does nothing; before Start it
// is an error, and after Close [ErrClosed]. So it is of Terminate and Kill.
func (p *Process[Out]) Signal(s syscall.Signal) error {
	if err := p.usable(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == processRunning {
		p.engine.Signal(s)
	}
	return nil
}

// Close says that the process is not needed any more: Start, Wait, Signal, Terminate and
// Kill then return [ErrClosed]; what it has told of itself stays. Closing one that is running is [ErrRunning], and it stays usable;
// closing twice is fine. A process need not be closed to be freed. The error names a process that was killed and
// has not ended, because it waits in the kernel.
func (p *Process[Out]) Close() error {
	if !p.made() {
		return errNoProcess
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == processRunning {
		return ErrRunning
	}
	if p.state == processNew && !p.closed {
		close(p.ended)
	}
	p.closed, p.result, p.submit = true, nil, nil
	return p.left
}
