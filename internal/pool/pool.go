//go:build linux

package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/logs"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/sched"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// Pool is the set of workers behind an mp.Pool. It is safe for concurrent use.
type Pool struct {
	cfg    Config
	limits limits
	out    *output
	logs   *logs.Queue

	mu        sync.Mutex
	sched     sched.Scheduler
	funcs     map[string]*sched.Func
	watches   map[<-chan struct{}]*watch // by the context's Done channel
	workers   []*worker                  // by slot; nil where a slot is empty
	present   int                        // number of filled slots
	slots     []*slot                    // never shrinks; slots beyond want are unused
	want      int                        // slots to be filled
	spares    []*worker                  // ready to fill a slot
	departing []*worker                  // have left their slots and are tearing down
	unreaped  []*worker                  // were killed but have not ended; no longer waited for
	counts    Stats                      // events so far
	slow      []Slow                     // the slowest tasks, slowest first
	ends      []End                      // the last ends of workers
	idle      []*worker
	others    []*sched.Worker // scratch space of steal
	drop      sched.Drop      // dropLater, bound once
	blocked   int             // callers waiting for room in the queue
	open      int             // jobs with tasks that have not settled
	nextID    uint64          // the ID of the last task
	firstProc *spawn.Process  // the process that said hello first
	alive     int             // slots that tasks wait for
	lastWhy   error           // why tasks do not wait for the other slots
	broken    error           // why tasks do not wait for any slot
	unspared  trouble         // failures to start spares
	// served is set once a worker has served for a while or has had a task. From then on, failed
	// starts are retried forever.
	served       bool
	draining     bool
	closed       bool
	room         chan struct{} // closed when there is room in the queue
	quiet        chan struct{} // closed when open becomes 0; nil if there is no waiter
	change       chan struct{} // closed when a slot is filled, vacated, or no longer waited for
	needs        chan struct{} // signals that a spare is missing; capacity 1
	idler        *time.Timer   // ends idle workers
	balance      *time.Timer
	armed        bool // balance is running
	silence      *time.Timer
	silenceArmed bool // silence is running
	watchdog     watchdog
	sampler      sampler

	closing     chan struct{} // closed when Close begins
	gone        chan struct{} // closed when Close has ended
	supervisors sync.WaitGroup
	first       chan error // the outcome of each slot's first start
}

// New starts a pool of workers. It returns when the first worker has said hello. If the first
// starts show that no worker can serve, New returns an error and leaves no process behind.
func New(cfg Config) (*Pool, error) {
	limits, err := openLimits(cfg.Limits)
	if err != nil {
		objects.ForgetFiles(cfg.Files)
		return nil, err
	}
	cfg.Restart = cfg.Restart.withDefaults()
	cfg.Link.Limits.Memory, cfg.Link.Limits.Group = int(cfg.Limits.Memory), limits.cgroup.Memory() != ""
	p := &Pool{
		cfg:     cfg,
		limits:  limits,
		out:     newOutput(cfg.Stdout, cfg.Stderr),
		logs:    logs.NewQueue(cfg.Logger),
		sched:   sched.New(sys.NumCPU()),
		funcs:   map[string]*sched.Func{},
		watches: map[<-chan struct{}]*watch{},
		closing: make(chan struct{}),
		gone:    make(chan struct{}),
		room:    make(chan struct{}),
		change:  make(chan struct{}),
		needs:   make(chan struct{}, 1),
		first:   make(chan error, cfg.Workers),
	}
	p.drop = p.dropLater

	p.balance = time.AfterFunc(time.Hour, p.rebalance)
	p.balance.Stop()
	p.silence = time.AfterFunc(time.Hour, p.checkSilent)
	p.silence.Stop()
	p.watchdog.timer = time.AfterFunc(time.Hour, p.checkTimeouts)
	p.watchdog.timer.Stop()
	p.idler = time.AfterFunc(time.Hour, p.endIdle)
	p.idler.Stop()
	p.sampler.timer = time.AfterFunc(time.Hour, p.sample)
	p.sampler.timer.Stop()

	p.mu.Lock()
	spawn.Hold()
	p.resize(cfg.Workers, p.first)
	p.mu.Unlock()

	for range cfg.Workers {
		if err = <-p.first; err == nil {
			p.beginSpares()
			return p, nil
		}
		if isPermanent(err) {
			break
		}
	}

	if left := p.Close(); left != nil {
		err = errors.Join(err, left)
	}
	return nil, err
}

// job is a batch that has been accepted.
type job struct {
	sched.Job
	fn        string
	batch     Batch
	prompt    bool
	bag       string
	id        uint64
	left      int // tasks whose outcome is unknown
	unsettled int // tasks that have not been settled
	cause     error
	// spared is set if the running tasks were not told about the cause, because the pool is
	// Patient.
	spared bool
	pool   *Pool

	timeout  time.Duration // of each task; 0 means none
	deadline link.Moment   // the context's deadline, for the contexts of the tasks
	retries  int
	deaths   map[int]int // number of deaths by element; nil if there were none

	watch      *watch // of the job's context; prev and next link the jobs of one watch
	prev, next *job
}

// Execute takes over the tasks of a batch and may return before any of them has started. Each task
// is settled exactly once. Execute blocks while too many jobs wait. If it returns an error, it has
// not taken over any task. The error is ctx's, ErrClosed, or the reason why no worker can serve.
func (p *Pool) Execute(ctx context.Context, fn string, b Batch, h Hints) error {
	n := b.Len()
	if n == 0 {
		return nil
	}
	var due link.Moment
	if d, ok := ctx.Deadline(); ok && !p.cfg.Patient {
		due = link.MomentOf(d)
	}

	p.mu.Lock()
	if err := p.admit(ctx); err != nil {
		p.mu.Unlock()
		return err
	}

	j := &job{pool: p, fn: fn, batch: b, prompt: h.Prompt, bag: h.Baggage, id: p.nextID + 1, left: n, unsettled: n}
	j.Init(p.funcOf(fn), n, h.Chunk)
	j.Data = j
	j.retries = min(h.Retries, maxRetries)
	if h.Timeout > 0 && !p.cfg.Patient {
		j.timeout = h.Timeout
		p.timed(j)
	}
	j.deadline = due
	p.nextID += uint64(n)
	p.open++
	j.trace("submitted")
	p.watch(ctx, j)

	if h.Prompt && n == 1 && p.open == 1 && len(p.idle) > 0 {
		w := p.popIdle()
		w.leased, w.returning = true, false
		ch := j.Take()
		p.mu.Unlock()
		w.runDirect(ch)
		return nil
	}

	p.sched.Add(&j.Job)
	p.distribute()
	p.mu.Unlock()
	return nil
}

func (p *Pool) funcOf(name string) *sched.Func {
	f := p.funcs[name]
	if f == nil {
		f = &sched.Func{}
		p.funcs[name] = f
	}
	return f
}

// admit waits until there is room in the queue. The caller must hold p.mu, which admit releases
// while it waits.
func (p *Pool) admit(ctx context.Context) error {
	for {
		switch {
		case p.closed || p.draining:
			return errs.ErrClosed
		case p.broken != nil:
			return p.broken
		case ctx.Err() != nil:
			return cause.Of(ctx)
		case p.sched.Len() < p.cfg.Backlog:
			return nil
		}

		room := p.room
		p.blocked++
		p.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		case <-p.closing:
		}
		p.mu.Lock()
		p.blocked--
	}
}

// checkRoom wakes blocked callers once half of the queue is empty, so that callers are not woken
// for every single job that leaves the queue. The caller must hold p.mu.
func (p *Pool) checkRoom() {
	if p.blocked > 0 && p.sched.Len() <= p.cfg.Backlog/2 {
		close(p.room)
		p.room = make(chan struct{})
	}
}

// distribute makes sure that some worker takes the tasks in the queue. The caller must hold p.mu.
func (p *Pool) distribute() {
	j := p.sched.Next()
	if j == nil {
		return
	}
	if w := time.Duration(j.Pending()) * j.Func.Average(); j.Func.Known() && w < minWakeWork && p.soon() {
		// A busy worker will finish before an idle worker could be woken. In case the busy worker
		// does not, rebalance checks again.
		p.rebalanceSoon()
		return
	}
	p.wakeFor(j)
}

// soon reports whether a worker in service is about to run out of work. The caller must hold p.mu.
func (p *Pool) soon() bool {
	for _, w := range p.workers {
		if w != nil && !w.dead && w.work.Tasks() > 0 && w.work.Ahead() < minWakeWork {
			return true
		}
	}
	return false
}

// wakeFor wakes idle workers for a job, or lets a busy worker take more tasks. The caller must hold
// p.mu.
func (p *Pool) wakeFor(j *sched.Job) {
	n := p.sched.Wanted(j)
	for ; n > 0 && len(p.idle) > 0; n-- {
		w := p.popIdle()
		w.returning = true
		w.wakeUp()
	}

	if n > 0 && p.cfg.Recycle.Idle > 0 {
		p.wakeSlots(min(n, p.missing()))
	}

	if n <= 0 {
		// Leave the tasks to the woken workers. If a busy worker took the tasks first, they would
		// wait behind that worker's current task.
		return
	}

	for _, w := range p.workers {
		if w != nil && w.wantsMore {
			w.wantsMore = false
			w.link.Kick()
			return
		}
	}
}

// maxReturnTime is how long after the end of its task a worker is considered to be about to look
// for the next task. If the worker takes longer, its pump may be busy with a large result.
const maxReturnTime = 2 * time.Millisecond

// missing returns how many workers should be started for the waiting tasks. It does not count
// workers that will look for tasks anyway: those that are being started, and those that have just
// finished a task. A caller that receives the outcome of a task may submit another task before the
// pool knows that the worker is idle. The caller must hold p.mu.
func (p *Pool) missing() int {
	starting, returning := 0, 0
	for i, s := range p.slots[:p.want] {
		switch w := p.workers[i]; {
		case w == nil && s.supervised && !s.vacant && !s.failing && s.trouble.failed == 0:
			starting++
		case w != nil && w.returning && time.Since(w.usage.news) < maxReturnTime:
			returning++
		}
	}

	if returning > 0 {
		p.rebalanceSoon() // in case none of these workers looks for tasks soon
	}

	return p.sched.Demand(p.want+starting+returning) - starting - returning
}

// maxRetries is small enough that the attempt number fits into 16 bits.
const maxRetries = 1<<16 - 2

// minWakeWork is the duration of queued work below which it is not worthwhile to wake a worker.
const minWakeWork = 100 * time.Microsecond

// popIdle takes the worker that became idle last, because that worker's caches are warm. The caller
// must hold p.mu.
func (p *Pool) popIdle() *worker {
	w := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	w.idle = false
	p.countIdle()
	return w
}

// countWorkers must be called when a slot is filled or vacated. The caller must hold p.mu.
func (p *Pool) countWorkers() {
	p.present = 0
	for _, w := range p.workers {
		if w != nil {
			p.present++
		}
	}
	p.countIdle()
}

// countIdle must be called when a worker becomes idle or busy. The caller must hold p.mu.
func (p *Pool) countIdle() {
	p.sched.Workers(p.present, len(p.idle))
}

// retire notes that the outcomes of n tasks of j are known. After the last task, it stops watching
// j's context. The caller must hold p.mu.
func (p *Pool) retire(j *job, n int) {
	if j.left -= n; j.left == 0 {
		p.unwatch(j)
	}
}

// account notes that n tasks of j have been settled. The caller must hold p.mu.
func (p *Pool) account(j *job, n int) {
	if j.unsettled -= n; j.unsettled > 0 {
		return
	}
	if j.timeout > 0 {
		p.watchdog.jobs--
	}
	if p.open--; p.open == 0 && p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

// settleAll settles elements that will not be run. The caller must not hold p.mu.
func (p *Pool) settleAll(runs []run, err func(*job) error) {
	if len(runs) == 0 {
		return
	}
	p.mu.Lock()
	for _, r := range runs {
		p.retire(r.job, r.n)
	}
	p.mu.Unlock()

	for _, r := range runs {
		e := p.cfg.Death(err(r.job))
		for i := range r.n {
			r.job.batch.Settle(r.lo+i, nil, e)
		}
	}

	p.mu.Lock()
	for _, r := range runs {
		p.account(r.job, r.n)
	}
	p.mu.Unlock()
}

// run is a range of consecutive elements of a job.
type run struct {
	job   *job
	lo, n int
}

// Running reports whether some worker is running element i of a batch.
func (p *Pool) Running(b Batch, i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if w == nil || w.dead {
			continue
		}
		ch, begun := w.work.Running()
		if begun && ch.Lo == i && ch.Job.Data.(*job).batch == b {
			return true
		}
	}
	return false
}

// Size returns the number of slots to be filled.
func (p *Pool) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}
