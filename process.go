package mp

import (
	"context"
	"fmt"
	"sync"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/pool"
)

// A Process runs one function once, in a process of its own. [NewProcess] creates it. A Process is
// safe for concurrent use.
//
// The process has an empty standard input, and its output goes where [ProcessConfig].Output says.
// SIGTERM ends it unless its function handles the signal; signals from a terminal do not reach it.
// When the function has returned, the process exits. The exit code is 0, or 1 if the function
// returned an error, or 2 if it panicked. After a panic, the panic and its stack are also on
// stderr. Processes that the function has started in its process group end with it.
type Process[Out any] struct {
	name   string
	cfg    ProcessConfig
	submit func(ex Executor) *Future[Out]
	ended  chan struct{}

	mu     sync.Mutex
	state  processState
	engine engine
	pid    int
	death  pool.Death
	result *Future[Out]
	left   error // names a killed process that has not ended
	closed bool
}

// ProcessConfig describes a [Process]. The zero value is usable.
type ProcessConfig struct {
	// Name is the process's name. ps shows it after the program's name, and the process can read it
	// as [Current]().Name. Defaults to a name that shows the lineage: worker-1 is the first child
	// of the main process, and worker-1:2 is the second child of worker-1.
	Name string

	// Daemon makes [WaitChildren] ignore the process. Every process, daemon or not, ends with its
	// parent. Defaults to false.
	Daemon bool

	// Procs is GOMAXPROCS in the process. Defaults to the number of usable processors.
	Procs int

	// Env lists environment variables for the process, each of the form KEY=value. They are added
	// to this program's environment and override its variables. Defaults to this program's
	// environment alone.
	Env []string

	// Dir is the process's working directory. Defaults to this program's working directory.
	Dir string

	// Executable is the program to start, as in [PoolConfig].Executable. Defaults to this program.
	Executable string

	// Limits bound the resources of the process. Defaults to no limits.
	Limits Limits

	// Output says where the process's output goes. Defaults to this program's standard output,
	// standard error and slog.Default().
	Output Output

	// MaxMessage is the maximum size of the encoded argument and of the encoded result in bytes, as
	// in [PoolConfig].MaxMessage. Defaults to 1 GiB.
	MaxMessage int

	// RequireContainment is the weakest acceptable [Containment], as in
	// [PoolConfig].RequireContainment. Start returns an error if the system does not provide that
	// containment. Defaults to [ContainGroup], or [ContainCgroup] if Limits.Cgroup is set.
	RequireContainment Containment
}

// NewProcess creates a process that will run f with arg. [Process.Start] starts it. If the config
// is invalid, the error names the field.
//
// Start encodes the argument. If the argument cannot be encoded, or is longer than
// [ProcessConfig].MaxMessage, Start still succeeds, but the function does not run, and
// [Process.Wait] returns the [*CodecError].
func NewProcess[In, Out any](f *Func[In, Out], arg In, cfg ProcessConfig) (*Process[Out], error) {
	if f == nil {
		return nil, errNoFunc
	}
	if err := cfg.pool().check(); err != nil {
		return nil, bad("mp: ProcessConfig.%w", err)
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

// Daemon reports whether [WaitChildren] ignores the process.
func (p *Process[Out]) Daemon() bool { return p.cfg.Daemon }

// Start starts the process and returns once it has answered, which takes some milliseconds. On
// error no process is left, and the error says why it cannot run. A process can be started only
// once. If the program has not called [Init], the error is [ErrNotInitialized].
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

	died := make(chan pool.Death, 1)
	e, err := p.newEngine(func(d pool.Death) { died <- d })
	if err != nil {
		return err
	}

	p.engine, p.state, p.pid = e, processRunning, e.PID()
	children.add(p, ProcessInfo{Name: p.name, PID: p.pid, Daemon: p.cfg.Daemon})
	go p.follow(p.submit(soloExecutor{e}), died)

	p.submit = nil // lets the argument be collected
	return nil
}

// PID returns the process ID, or 0 before Start.
func (p *Process[Out]) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Alive reports whether the process has started and has not ended.
func (p *Process[Out]) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == processRunning
}

// Done returns a channel that is closed when the process has ended and nothing of it is left.
// Closing a process that was never started also closes the channel.
func (p *Process[Out]) Done() <-chan struct{} {
	if !p.made() {
		return closedChannel
	}
	return p.ended
}

// Wait waits for the end of the process and returns the function's result. All output of the
// process has then arrived. Every caller gets the same result.
//
// The error is the function's own or a [*PanicError], or a [*WorkerError] if the process ended
// otherwise. Wait on a process that was never started returns an error. If ctx ends first, Wait
// returns ctx's error, and the process goes on.
func (p *Process[Out]) Wait(ctx context.Context) (Out, error) {
	var none Out
	if err := p.usable(); err != nil {
		return none, err
	}

	if p.Alive() { // otherwise return the result, even if ctx has ended
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

// ExitCode returns the exit code of the process, or the negated number of the signal that ended it.
// ok is false before the end of the process, and if its exit status is lost (see [ReasonUnknown]).
// A code of 0 does not mean that the function ran, see [NewProcess]; Wait tells that.
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

// Terminate sends SIGTERM to the process. It returns the same errors as [Process.Signal] and does
// nothing after the end of the process.
func (p *Process[Out]) Terminate() error { return p.Signal(syscall.SIGTERM) }

// Kill kills the process and its process group. It returns the same errors as [Process.Signal] and
// does nothing after the end of the process.
func (p *Process[Out]) Kill() error { return p.Signal(syscall.SIGKILL) }

// Signal sends a signal to the process. It does nothing after the end of the process. Before Start
// it returns an error, and after Close it returns [ErrClosed].
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

// Close releases the result of a process that is no longer needed. After Close, the methods Start,
// Wait, Signal, Terminate and Kill return [ErrClosed]. The other methods still work. Closing is
// optional: an unreachable Process is freed without it. Close may be called more than once.
//
// If the process is running, Close returns [ErrRunning] and has no effect. If the process was
// killed but has not ended, because it waits in the kernel, Close returns an error that names it.
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

type processState int

const (
	processNew processState = iota
	processRunning
	processEnded
)

// made reports whether NewProcess made p.
func (p *Process[Out]) made() bool { return p != nil && p.ended != nil }

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

// pool returns the config of the one-worker pool that runs the process.
func (c ProcessConfig) pool() PoolConfig {
	return PoolConfig{Workers: 1, Procs: c.Procs, Env: c.Env, Dir: c.Dir, Executable: c.Executable, Limits: c.Limits, Output: c.Output, MaxMessage: c.MaxMessage, RequireContainment: c.RequireContainment}
}

// newEngine starts the engine that runs the process. The engine calls onEnd when the process ends.
func (p *Process[Out]) newEngine(onEnd func(pool.Death)) (engine, error) {
	ec, err := p.cfg.pool().withDefaults().engineConfig("ProcessConfig")
	if err != nil {
		return nil, err
	}

	ec.Single, ec.Link.Daemon = true, p.cfg.Daemon
	ec.Name = func() string { return p.name }
	ec.OnEnd = onEnd
	return newEngine("ProcessConfig", ec)
}

// soloExecutor is an Executor that runs tasks on an engine.
type soloExecutor struct{ engine engine }

func (s soloExecutor) Execute(ctx context.Context, function string, b Batch, h Hints) error {
	return translate(s.engine.Execute(ctx, function, b, pool.Hints(h)))
}

// follow waits for the end of the process and records its result and exit status.
func (p *Process[Out]) follow(f *Future[Out], died <-chan pool.Death) {
	<-f.Done()
	// The process exits by itself after its task. Shutdown ends it if it got no task, for instance
	// because the argument could not be encoded.
	left := p.engine.Shutdown(context.Background())
	death := <-died

	p.mu.Lock()
	p.result, p.left, p.death, p.state = f, left, death, processEnded
	p.mu.Unlock()
	children.remove(p)
	close(p.ended)
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
