package mp

import (
	"context"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/query"
)

// A Pool runs tasks in worker processes. It is an [Executor]: [Call], [Submit], [Map] and [Stream]
// give it tasks. A worker runs one task at a time. If the worker dies, its task gets a
// [*WorkerError], and a new worker replaces it.
//
// A Pool is safe for concurrent use. End it with Close or Shutdown. The workers end when this
// process ends, even if it is killed.
type Pool struct {
	engine      engine
	timeout     time.Duration
	containment Containment
	enforced    Enforced
}

// NewPool starts a pool. It returns once the first worker has answered, which takes some
// milliseconds. If the config is invalid, the error names the field. If no worker can be started,
// the error says why, and no process is left. On systems other than Linux the error is
// [errors.ErrUnsupported]. If the program has not called [Init], the error is [ErrNotInitialized].
func NewPool(cfg PoolConfig) (*Pool, error) {
	if !initialized.Load() {
		return nil, ErrNotInitialized
	}
	if err := cfg.check(); err != nil {
		return nil, bad("mp: PoolConfig.%w", err)
	}

	cfg = cfg.withDefaults()
	ec, err := cfg.engineConfig("PoolConfig")
	if err != nil {
		return nil, err
	}

	e, err := newEngine("PoolConfig", ec)
	if err != nil {
		return nil, err
	}

	p := &Pool{engine: e, timeout: cfg.Timeout}
	if c, ok := e.(*pool.Pool); ok {
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
	return translate(p.engine.Execute(ctx, function, b, pool.Hints(h)))
}

// Shutdown accepts no more tasks and waits until all accepted tasks are done. Then each worker runs
// its Teardown and exits. Shutdown returns when no process is left.
//
// If ctx ends first, Shutdown closes the pool as [Pool.Close] does and returns ctx's error. It then
// waits at most a second for workers that SIGKILL does not end, and the error names them.
func (p *Pool) Shutdown(ctx context.Context) error {
	if !p.made() {
		return errNoPool
	}
	defer children.removePool(p)
	return p.engine.Shutdown(ctx)
}

// Close kills all workers. Unfinished tasks get [ErrClosed]. To let tasks finish, call Shutdown
// instead. Close may be called more than once.
//
// Close returns when nothing is left: no process in any worker's process group, no descriptor and
// no goroutine. The exception is a goroutine whose writer or log handler blocks, see [Output]. A
// process that has left the group stays, unless the pool has a stronger [Containment].
//
// SIGKILL may fail to end a worker, for instance while the worker waits in the kernel for a dead
// file system. Close gives up on such a worker after five seconds and returns an error that names
// it. The worker ends when the kernel lets it.
func (p *Pool) Close() error {
	if !p.made() {
		return errNoPool
	}
	defer children.removePool(p)
	return p.engine.Close()
}

// Resize sets the number of workers, at least one, and returns at once. It starts new workers and
// retries those that could not be started. Surplus workers finish their current task and leave;
// other workers run the tasks that were waiting behind it. No task is lost. [Stats].Serving shows
// when the surplus workers have left.
//
// [PoolConfig].Procs does not change. After Close or Shutdown the error is [ErrClosed].
func (p *Pool) Resize(workers int) error {
	if !p.made() {
		return errNoPool
	}
	if workers < 1 {
		return fmt.Errorf("mp: Resize to %d workers: a pool has at least one", workers)
	}
	if workers > maxWorkers {
		return fmt.Errorf("mp: Resize to %d workers: a pool may have %d", workers, maxWorkers)
	}
	return p.engine.Resize(workers)
}

// Ready waits until all workers are in service, after their Setup. Workers that ended because they
// were idle count as ready. Ready waits neither for spares nor for surplus workers to leave after
// [Pool.Resize]. Tasks need not wait for Ready: they can be submitted before Ready returns.
//
// The error is a [*StartError] if a worker has failed to start [Restart].Attempts times in a row,
// even if the pool will try again. It is [ErrClosed] if the pool is closed, and ctx's error if ctx
// ends first.
func (p *Pool) Ready(ctx context.Context) error {
	if !p.made() {
		return errNoPool
	}
	return p.engine.Ready(ctx)
}

// Workers describes the workers in service, in the order of their slots. It omits workers that are
// starting.
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

// made reports whether NewPool made p.
func (p *Pool) made() bool { return p != nil && p.engine != nil }

// numWorkers returns the number of workers, which determines how far streams read ahead at first.
func (p *Pool) numWorkers() int {
	if !p.made() {
		return 1
	}
	return p.engine.Size()
}

func (p *Pool) isRunning(b Batch, i int) bool { return p.made() && p.engine.Running(b, i) }

func init() { query.Pool = askPool }

// askPool sends a query to all workers of a pool. Other packages call it through query.Pool, so
// that workers that do not need those packages do not import them.
func askPool(ctx context.Context, pool any, name string, arg []byte) ([]query.Reply, error) {
	p, ok := pool.(*Pool)
	if !ok || !p.made() {
		return nil, errNoPool
	}

	question, err := query.Question(name, arg)
	if err != nil {
		return nil, err
	}

	var replies []query.Reply
	for _, a := range p.engine.Ask(ctx, question) {
		r := query.Reply{Worker: a.Worker, PID: a.PID, Err: a.Err}
		if r.Err == nil {
			r.Data, r.Err = query.Result(a.Data)
		}
		replies = append(replies, r)
	}
	return replies, nil
}
