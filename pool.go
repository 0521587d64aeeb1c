package mp

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/ask"
	"github.com/go-multiprocessing/mp/internal/crew"
)

// A Pool runs tasks in worker processes. It is an [Executor]: tasks are given
// to it with [Call], [Submit], [Map] and [Stream]. A worker runs one task at a
// time; when it dies, the task that it was running gets a [*WorkerError], and a
// new worker takes its place.
//
// A Pool is safe for concurrent use. End it with Close or Shutdown; workers
// also end when this process does, however it does.
type Pool struct {
	engine      engine
	timeout     time.Duration
	containment Containment
	enforced    Enforced
}

// NewPool starts a pool. It returns once the first worker has answered, some
// milliseconds, or with an error that says why none can: then no process is
// left. Without [Init] the error is [ErrNotInitialized].
func NewPool(cfg PoolConfig) (*Pool, error) {
	if !initialized.Load() {
		return nil, ErrNotInitialized
	}
	cfg, err := cfg.complete("PoolConfig")
	if err != nil {
		return nil, err
	}
	ec, err := cfg.engineConfig("PoolConfig")
	if err != nil {
		return nil, err
	}

	e, err := newEngine("PoolConfig", ec)
	if err != nil {
		return nil, err
	}
	p := &Pool{engine: e, timeout: cfg.Timeout}
	if c, ok := e.(*crew.Crew); ok {
		p.containment, p.enforced = cfg.containing().holds(), cfg.Limits.enforced(c.CgroupMemory())
	}
	children.addPool(p)
	return p, nil
}

// Execute implements [Executor].
func (p *Pool) Execute(ctx context.Context, function string, b Batch, h Hints) error {
	if !p.made() {
		return errNoPool
	}
	if err := h.check(); err != nil {
		return err
	}
	if h.Timeout == 0 {
		h.Timeout = p.timeout
	}
	return translate(p.engine.Execute(ctx, function, b, crew.Hints(h)))
}

// Shutdown takes no more tasks, waits until all it has are done, lets each
// worker run its Teardown and exit, and returns when nothing is left. When ctx
// ends first, the rest is ended as by Close, and the context's error returned. It waits for processes that
// cannot be ended no longer than a second then, and the error names them.
func (p *Pool) Shutdown(ctx context.Context) error {
	if !p.made() {
		return errNoPool
	}
	defer children.removePool(p)
	return p.engine.Shutdown(ctx)
}

// Close ends all workers now: tasks that are not done get [ErrClosed]. It
// returns when nothing is left: no process of a worker's process group, no descriptor
// and no goroutine, except one whose writer or log handler blocks, see [Output]. A
// process that left the group stays, unless the pool has a stronger [Containment].
// Closing twice is fine. To let tasks finish, call Shutdown first.
//
// A worker that SIGKILL does not end, because it waits in the kernel for a dead file system for instance, is
// given up after five seconds. The error then names it; it ends whenever the kernel lets it.
func (p *Pool) Close() error {
	if !p.made() {
		return errNoPool
	}
	defer children.removePool(p)
	return p.engine.Close()
}

// Resize sets how many workers the pool has from now on; at least one. It does not
// wait: new workers are started, surplus workers finish their task and leave, tasks
// that wait behind it go to others, and no task is lost.
// [Stats].Serving tells when they have left. Workers that could not be
// started are tried again at once. [PoolConfig].Procs stays as it is. The error is [ErrClosed] after
// Close or Shutdown.
func (p *Pool) Resize(workers int) error {
	if !p.made() {
		return errNoPool
	}
	if workers < 1 {
		return fmt.Errorf("mp: Resize to %d workers: a pool has at least one", workers)
	}
	if workers > mostWorkers {
		return fmt.Errorf("mp: Resize to %d workers: a pool may have %d", workers, mostWorkers)
	}
	return p.engine.Resize(workers)
}

// Ready waits until all workers are in service, their Setup done. Those that have
// ended for want of work count as ready; it does not wait for spares, nor for the
// end of workers that [Pool.Resize] has made too many. It returns a [*StartError] if one has
// failed to start [Restart].Attempts times in a row, though it may be tried again, [ErrClosed] if the pool is closed, and the context's error if
// that comes first. Tasks need not wait for it.
func (p *Pool) Ready(ctx context.Context) error {
	if !p.made() {
		return errNoPool
	}
	return p.engine.Ready(ctx)
}

// made reports whether p is what NewPool returns.
func (p *Pool) made() bool { return p != nil && p.engine != nil }

// numWorkers tells streams how much to read ahead at first.
func (p *Pool) numWorkers() int {
	if !p.made() {
		return 1
	}
	return p.engine.Size()
}

func (p *Pool) isRunning(b Batch, i int) bool { return p.made() && p.engine.Running(b, i) }

// Workers describes the workers now in service, in the order of their places.
// One that is being started is not among them.
func (p *Pool) Workers() []WorkerInfo {
	if !p.made() {
		return nil
	}
	var all []WorkerInfo
	for _, w := range p.engine.Workers() {
		all = append(all, newWorkerInfo(w))
	}
	return all
}

func init() { ask.Pool = askPool }

// askPool asks all workers of a pool, for packages whose imports are not for every worker.
func askPool(ctx context.Context, pool any, name string, arg []byte) ([]ask.Reply, error) {
	p, ok := pool.(*Pool)
	if !ok || !p.made() {
		return nil, errNoPool
	}
	question, err := ask.Question(name, arg)
	if err != nil {
		return nil, err
	}
	var replies []ask.Reply
	for _, a := range p.engine.Ask(ctx, question) {
		r := ask.Reply{Worker: a.Worker, PID: a.PID, Err: a.Err}
		if r.Err == nil {
			r.Data, r.Err = ask.Result(a.Data)
		}
		replies = append(replies, r)
	}
	return replies, nil
}
