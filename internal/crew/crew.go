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

// Crew is safe for concurrent use.
type Crew struct {
	cfg    Config
	limits limits
	out    *output
	logs   *journal.Journal

	mu        sync.Mutex
	sched     sched.Scheduler
	funcs     map[string]*sched.Func
	watches   map[<-chan struct{}]*watch // by the context's Done
	members   []*member                  // by place; nil while there is none
	present   int                        // members that there are
	places    []*place                   // for ever, those above want unused
	want      int                        // places to be filled
	spares    []*member                  // ready to fill one
	departing []*member                  // that have left one and tear down
	lingering []*member                  // that were killed and have not ended, and are not waited for any more
	counts    Stats                      // what has happened
	slow      []Slow                     // the slowest tasks, the slowest first
	ends      []End                      // of workers, the last ones
	idle      []*member
	others    []*sched.Worker // scratch of steal
	drop      sched.Drop      // dropLater, made once
	blocked   int             // callers waiting for room in the queue
	open      int             // jobs with tasks that have not settled
	nextID    uint64          // of the last task
	greeter   *spawn.Process  // that said hello first
	alive     int             // places that tasks wait for
	lastWhy   error           // why they do not wait for others
	broken    error           // why they wait for none
	unspared  trouble         // of spares
	served    bool            // a worker has, for a while or with a task: from then on starting others is tried again for ever
	draining  bool
	closed    bool
	room      chan struct{} // closed when waiting jobs become fewer
	quiet     chan struct{} // closed when open becomes 0; nil unless somebody waits
	change    chan struct{} // closed when a place is filled or left, or tasks no longer wait for it
	needs     chan struct{} // tells that a spare is missing; capacity 1
	idler     *time.Timer   // ends workers that are idle
	balance   *time.Timer
	armed     bool // balance is running
	pulse     *time.Timer
	beating   bool // pulse is running
	watchdog  watchdog
	sampler   sampler

	closing chan struct{} // closed when Close begins
	gone    chan struct{} // and when it has ended
	keepers sync.WaitGroup
	first   chan error // outcome of each place's first start
}

// New starts a crew. It returns when the first worker has said who it is, or
// with an error, no process left, when that shows that no worker can serve.
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

// job is a batch on its way.
type job struct {
	sched.Job
	fn     string
	batch  Batch
	prompt bool
	bag    string
	id     uint64
	left   int // tasks whose outcome is not known
	unsaid int // tasks that have not been settled
	cause  error
	spared bool // what runs was not told of the cause, since nobody is ended for taking his time
	crew   *Crew

	timeout  time.Duration // of each task; 0: none
	deadline link.Moment   // of the context, for the tasks' contexts
	retries  int
	deaths   map[int]int // by element, where there were any

	watch      *watch // of the context, with its neighbours there
	prev, next *job
}

// Execute takes the tasks of a batch over and returns, possibly before any
// has begun; each will be settled exactly once. It blocks while too many jobs
// wait. With an error nothing was taken.
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

// admit waits, with the lock given up meanwhile, until there is room in the
// queue.
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

// checkRoom lets the blocked go on once half of the queue is empty, so that
// they are not woken for every single place.
func (c *Crew) checkRoom() {
	if c.blocked > 0 && c.sched.Len() <= c.cfg.Backlog/2 {
		close(c.room)
		c.room = make(chan struct{})
	}
}

// distribute sees to it that somebody takes what is in the queue.
func (c *Crew) distribute() {
	j := c.sched.Next()
	if j == nil {
		return
	}
	if w := time.Duration(j.Pending()) * j.Func.Average(); j.Func.Known() && w < brief && c.soon() {
		// Somebody will be back for it sooner than another can be woken.
		// In case that is wrong, rebalance looks again.
		c.rebalanceSoon()
		return
	}
	c.rouse(j)
}

// soon reports whether a worker in service is about to run out of work.
func (c *Crew) soon() bool {
	for _, m := range c.members {
		if m != nil && !m.dead && m.work.Tasks() > 0 && m.work.Ahead() < brief {
			return true
		}
	}
	return false
}

// rouse wakes idle workers for a job, or lets a busy one take more.
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
		return // a busy one could be there first, and the tasks would wait behind what it runs
	}
	for _, m := range c.members {
		if m != nil && m.hungry {
			m.hungry = false
			m.link.Kick()
			return
		}
	}
}

// lookAtMost is how long after the end of its task a worker is taken to be about to look for the next one. It may be
// decoding a large result instead.
const lookAtMost = 2 * time.Millisecond

// missing returns how many workers are worth starting for all that waits, beside those that will look for tasks without
// being told: those that are being started, and those about to look for their next task. A caller that has the outcome of
// a task may submit the next one before it is known that the worker is idle.
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
		c.rebalanceSoon() // in case one does not look soon
	}
	return c.sched.Demand(c.want+starting+looking) - starting - looking
}

// maxRetries leaves room in the number of the attempt on the wire.
const maxRetries = 1<<16 - 2

// brief is the time of tasks below which nobody is woken for them in vain.
const brief = 100 * time.Microsecond

// popIdle takes the worker that became idle last: its caches are warm.
func (c *Crew) popIdle() *member {
	m := c.idle[len(c.idle)-1]
	c.idle = c.idle[:len(c.idle)-1]
	m.idle = false
	c.countIdle()
	return m
}

// countWorkers is called when a member has come or gone.
func (c *Crew) countWorkers() {
	c.present = 0
	for _, m := range c.members {
		if m != nil {
			c.present++
		}
	}
	c.countIdle()
}

// countIdle is called when one has become idle, or is no longer.
func (c *Crew) countIdle() {
	c.sched.Workers(c.present, len(c.idle))
}

// retire notes that the outcomes of n tasks of j are known. After the last, its
// context is not watched any more.
func (c *Crew) retire(j *job, n int) {
	if j.left -= n; j.left == 0 {
		c.unwatch(j)
	}
}

// account notes that n tasks of j have been settled.
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

// settleAll settles elements that were not run, outside the lock.
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

// run is a run of elements of a job.
type run struct {
	job   *job
	lo, n int
}

// Running reports whether element i of a batch has begun on some worker.
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

// Size is the number of places to be filled.
func (c *Crew) Size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want
}
