//go:build linux

package crew

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/journal"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/sched"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// Crew is the set of workers behind a pool. It is safe for concurrent use.
type Crew struct {
	cfg    Config
	limits limits
	out    *output
	logs   *journal.Journal

	mu        sync.Mutex
	sched     sched.Scheduler
	funcs     map[string]*sched.Func
	watches   map[<-chan struct{}]*watch // by the context's Done channel
	members   []*member                  // by slot; nil where a slot is empty
	present   int                        // number of filled slots
	places    []*place                   // never shrinks; slots beyond want are unused
	want      int                        // slots to be filled
	spares    []*member                  // ready to fill a slot
	departing []*member                  // have left their slots and tear down
	lingering []*member                  // were killed and have not ended; no longer waited for
	counts    Stats                      // events so far
	slow      []Slow                     // the slowest tasks, slowest first
	ends      []End                      // the last ends of workers
	idle      []*member
	others    []*sched.Worker // scratch space of steal
	drop      sched.Drop      // dropLater, bound once
	blocked   int             // callers waiting for room in the queue
	open      int             // jobs with tasks that have not settled
	nextID    uint64          // the ID of the last task
	greeter   *spawn.Process  // the process that said hello first
	alive     int             // slots that tasks wait for
	lastWhy   error           // why tasks do not wait for the other slots
	broken    error           // why tasks wait for no slot
	unspared  trouble         // of the spares
	// served is set once a worker has served for a while or has had a task. From then on, failed
	// starts are retried forever.
	served   bool
	draining bool
	closed   bool
	room     chan struct{} // closed when fewer jobs wait
	quiet    chan struct{} // closed when open becomes 0; nil if there is no waiter
	change   chan struct{} // closed when a slot is filled or left, or no longer waited for
	needs    chan struct{} // signals that a spare is missing; capacity 1
	idler    *time.Timer   // ends idle workers
	balance  *time.Timer
	armed    bool // balance is running
	pulse    *time.Timer
	beating  bool // pulse is running
	watchdog watchdog
	sampler  sampler

	closing chan struct{} // closed when Close begins
	gone    chan struct{} // closed when Close has ended
	keepers sync.WaitGroup
	first   chan error // the outcome of each slot's first start
}

// New starts a pool of workers. It returns when the first worker has said hello. If the first
// starts show that no worker can serve, New returns an error and leaves no process behind.
func New(cfg Config) (*Crew, error) {
	limits, err := openLimits(cfg.Limits)
	if err != nil {
		share.ForgetFiles(cfg.Files)
		return nil, err
	}
	cfg.Restart = cfg.Restart.withDefaults()
	cfg.Link.Limits.Memory, cfg.Link.Limits.Group = int(cfg.Limits.Memory), limits.cgroup.Memory() != ""
	c := &Crew{
		cfg:     cfg,
		limits:  limits,
		out:     newOutput(cfg.Stdout, cfg.Stderr),
		logs:    journal.New(cfg.Logger),
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
	c.drop = c.dropLater

	c.balance = time.AfterFunc(time.Hour, c.rebalance)
	c.balance.Stop()
	c.pulse = time.AfterFunc(time.Hour, c.feel)
	c.pulse.Stop()
	c.watchdog.timer = time.AfterFunc(time.Hour, c.look)
	c.watchdog.timer.Stop()
	c.idler = time.AfterFunc(time.Hour, c.endIdle)
	c.idler.Stop()
	c.sampler.timer = time.AfterFunc(time.Hour, c.sample)
	c.sampler.timer.Stop()

	c.mu.Lock()
	spawn.Hold()
	c.resize(cfg.Workers, c.first)
	c.mu.Unlock()

	for range cfg.Workers {
		if err = <-c.first; err == nil {
			c.beginSpares()
			return c, nil
		}
		if isPermanent(err) {
			break
		}
	}

	if left := c.Close(); left != nil {
		err = errors.Join(err, left)
	}
	return nil, err
}

// job is a batch that has been accepted.
type job struct {
	sched.Job
	fn     string
	batch  Batch
	prompt bool
	bag    string
	id     uint64
	left   int // tasks whose outcome is unknown
	unsaid int // tasks that have not been settled
	cause  error
	// spared is set if the running tasks were not told of the cause, because the pool is Patient.
	spared bool
	crew   *Crew

	timeout  time.Duration // of each task; 0 means none
	deadline link.Moment   // the context's deadline, for the contexts of the tasks
	retries  int
	deaths   map[int]int // by element; nil if there were none

	watch      *watch // on the context; prev and next link the jobs of one watch
	prev, next *job
}

// Execute takes over the tasks of a batch and may return before any of them has started. Each task
// is settled exactly once. Execute blocks while too many jobs wait. On error it has taken no task.
// The error is ctx's, ErrClosed, or the reason why no worker can serve.
func (c *Crew) Execute(ctx context.Context, fn string, b Batch, h Hints) error {
	n := b.Len()
	if n == 0 {
		return nil
	}
	var due link.Moment
	if d, ok := ctx.Deadline(); ok && !c.cfg.Patient {
		due = link.MomentOf(d)
	}

	c.mu.Lock()
	if err := c.admit(ctx); err != nil {
		c.mu.Unlock()
		return err
	}

	j := &job{crew: c, fn: fn, batch: b, prompt: h.Prompt, bag: h.Baggage, id: c.nextID + 1, left: n, unsaid: n}
	j.Init(c.funcOf(fn), n, h.Chunk)
	j.Data = j
	j.retries = min(h.Retries, maxRetries)
	if h.Timeout > 0 && !c.cfg.Patient {
		j.timeout = h.Timeout
		c.timed(j)
	}
	j.deadline = due
	c.nextID += uint64(n)
	c.open++
	j.trace("submitted")
	c.watch(ctx, j)

	if h.Prompt && n == 1 && c.open == 1 && len(c.idle) > 0 {
		m := c.popIdle()
		m.leased, m.looking = true, false
		ch := j.Take()
		c.mu.Unlock()
		m.alone(ch)
		return nil
	}

	c.sched.Add(&j.Job)
	c.distribute()
	c.mu.Unlock()
	return nil
}

func (c *Crew) funcOf(name string) *sched.Func {
	f := c.funcs[name]
	if f == nil {
		f = &sched.Func{}
		c.funcs[name] = f
	}
	return f
}

// admit waits until there is room in the queue. The caller must hold c.mu, which admit releases
// while it waits.
func (c *Crew) admit(ctx context.Context) error {
	for {
		switch {
		case c.closed || c.draining:
			return errs.ErrClosed
		case c.broken != nil:
			return c.broken
		case ctx.Err() != nil:
			return cause.Of(ctx)
		case c.sched.Len() < c.cfg.Backlog:
			return nil
		}

		room := c.room
		c.blocked++
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		case <-c.closing:
		}
		c.mu.Lock()
		c.blocked--
	}
}

// checkRoom wakes blocked callers once half of the queue is empty, so that they are not woken for
// every single job that leaves it. The caller must hold c.mu.
func (c *Crew) checkRoom() {
	if c.blocked > 0 && c.sched.Len() <= c.cfg.Backlog/2 {
		close(c.room)
		c.room = make(chan struct{})
	}
}

// distribute makes sure that some worker takes the tasks in the queue. The caller must hold c.mu.
func (c *Crew) distribute() {
	j := c.sched.Next()
	if j == nil {
		return
	}
	if w := time.Duration(j.Pending()) * j.Func.Average(); j.Func.Known() && w < brief && c.soon() {
		// A busy worker will finish before an idle one could be woken. In case it does not,
		// rebalance checks again.
		c.rebalanceSoon()
		return
	}
	c.rouse(j)
}

// soon reports whether a worker in service is about to run out of work. The caller must hold c.mu.
func (c *Crew) soon() bool {
	for _, m := range c.members {
		if m != nil && !m.dead && m.work.Tasks() > 0 && m.work.Ahead() < brief {
			return true
		}
	}
	return false
}

// rouse wakes idle workers for a job, or lets a busy worker take more tasks. The caller must hold
// c.mu.
func (c *Crew) rouse(j *sched.Job) {
	n := c.sched.Wanted(j)
	for ; n > 0 && len(c.idle) > 0; n-- {
		m := c.popIdle()
		m.looking = true
		m.wakeUp()
	}

	if n > 0 && c.cfg.Recycle.Idle > 0 {
		c.rousePlaces(min(n, c.missing()))
	}

	if n <= 0 {
		// Leave the tasks to the woken workers. If a busy worker took them first, they would wait
		// behind its current task.
		return
	}

	for _, m := range c.members {
		if m != nil && m.hungry {
			m.hungry = false
			m.link.Kick()
			return
		}
	}
}

// lookAtMost is how long after the end of its task a worker counts as about to look for the next
// one. A worker that takes longer may be decoding a large result.
const lookAtMost = 2 * time.Millisecond

// missing returns how many workers should be started for the waiting tasks. It does not count
// workers that will look for tasks anyway: those that are being started, and those that have just
// finished a task. A caller that receives the outcome of a task may submit the next one before the
// pool knows that the worker is idle. The caller must hold c.mu.
func (c *Crew) missing() int {
	starting, looking := 0, 0
	for i, p := range c.places[:c.want] {
		switch m := c.members[i]; {
		case m == nil && p.kept && !p.vacant && !p.hopeless && p.trouble.failed == 0:
			starting++
		case m != nil && m.looking && time.Since(m.usage.news) < lookAtMost:
			looking++
		}
	}

	if looking > 0 {
		c.rebalanceSoon() // in case none of them looks soon
	}

	return c.sched.Demand(c.want+starting+looking) - starting - looking
}

// maxRetries leaves room in the attempt number on the wire.
const maxRetries = 1<<16 - 2

// brief is the duration of queued work below which waking a worker is not worth it.
const brief = 100 * time.Microsecond

// popIdle takes the worker that became idle last, because its caches are warm. The caller must hold
// c.mu.
func (c *Crew) popIdle() *member {
	m := c.idle[len(c.idle)-1]
	c.idle = c.idle[:len(c.idle)-1]
	m.idle = false
	c.countIdle()
	return m
}

// countWorkers must be called when a slot is filled or left. The caller must hold c.mu.
func (c *Crew) countWorkers() {
	c.present = 0
	for _, m := range c.members {
		if m != nil {
			c.present++
		}
	}
	c.countIdle()
}

// countIdle must be called when a worker becomes idle or busy. The caller must hold c.mu.
func (c *Crew) countIdle() {
	c.sched.Workers(c.present, len(c.idle))
}

// retire notes that the outcomes of n tasks of j are known. After the last one, it stops watching
// the context of j. The caller must hold c.mu.
func (c *Crew) retire(j *job, n int) {
	if j.left -= n; j.left == 0 {
		c.unwatch(j)
	}
}

// account notes that n tasks of j have been settled. The caller must hold c.mu.
func (c *Crew) account(j *job, n int) {
	if j.unsaid -= n; j.unsaid > 0 {
		return
	}
	if j.timeout > 0 {
		c.watchdog.jobs--
	}
	if c.open--; c.open == 0 && c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
}

// settleAll settles elements that will not be run. The caller must not hold c.mu.
func (c *Crew) settleAll(runs []run, err func(*job) error) {
	if len(runs) == 0 {
		return
	}
	c.mu.Lock()
	for _, r := range runs {
		c.retire(r.job, r.n)
	}
	c.mu.Unlock()

	for _, r := range runs {
		e := c.cfg.Death(err(r.job))
		for i := range r.n {
			r.job.batch.Settle(r.lo+i, nil, e)
		}
	}

	c.mu.Lock()
	for _, r := range runs {
		c.account(r.job, r.n)
	}
	c.mu.Unlock()
}

// run is a range of consecutive elements of a job.
type run struct {
	job   *job
	lo, n int
}

// Running reports whether element i of a batch has started on some worker.
func (c *Crew) Running(b Batch, i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m == nil || m.dead {
			continue
		}
		ch, begun := m.work.Running()
		if begun && ch.Lo == i && ch.Job.Data.(*job).batch == b {
			return true
		}
	}
	return false
}

// Size returns the number of slots to be filled.
func (c *Crew) Size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want
}
