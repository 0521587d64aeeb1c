package crew

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/sched"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// A member is one worker process in service.
type member struct {
	crew *Crew
	slot int
	proc *spawn.Process
	link *link.Link
	wake chan struct{} // wakes the pump; capacity 1
	fns  map[string]int
	errs *forwarder // its stderr, with the last words
	outs *forwarder
	ears chan struct{} // closed when no more messages come

	// Under the crew's lock.
	work    sched.Worker
	idle    bool // in crew.idle, the pump asleep
	leased  bool // a lone caller is in the pump's place
	hungry  bool // could take more than the queue had
	dead    bool
	cause   error // why we killed it
	started time.Time

	// The pump's.
	results []link.Result
	settled []finished
	enc     []byte
	heavy   int // bytes on their way over the socket
	end     uint32
	busy    time.Duration
	tasks   uint64
}

// finished is a result with the task it belongs to.
type finished struct {
	job *job
	i   int
}

// pump carries tasks and results until the worker is dead.
func (m *member) pump() {
	for {
		n, err := m.collect()
		if err == nil {
			err = m.fill()
		}
		if err == nil {
			switch m.next(n) {
			case sleeping:
				err = m.link.Wait()
			case idle:
				<-m.wake
			case stopping:
				_ = m.link.Stop()
				<-m.proc.Done()
				return
			case over:
				return
			}
		}
		if err != nil {
			m.condemn(err)
			return
		}
	}
}

// ErrCorrupt is the cause of killing a worker that does not keep to the
// protocol.
var ErrCorrupt = errors.New("what it sent makes no sense")

// condemn kills a worker whose link is broken and returns when it is dead. A
// broken pipe is what a death looks like from here: that tells its own cause.
func (m *member) condemn(err error) {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		select {
		case <-m.proc.Done():
			return
		case <-time.After(lastWords):
		}
	}
	m.crew.mu.Lock()
	if m.cause == nil && !m.dead {
		m.cause = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m.crew.mu.Unlock()
	m.proc.Kill()
	<-m.proc.Done()
}

type state int

const (
	again state = iota
	sleeping
	idle
	stopping
	over
)

// next decides what the pump does after it has collected n results.
func (m *member) next(n int) state {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.dead:
		return over
	case m.work.Tasks() > 0:
		return sleeping
	case c.sched.Next() != nil && m.canTake():
		return again
	case c.draining && c.open == 0:
		return stopping
	}
	took, left := c.steal(m, true)
	if took {
		return again
	}
	m.idle, m.hungry = true, false
	c.idle = append(c.idle, m)
	c.countWorkers()
	if left {
		c.rebalanceSoon()
	}
	return idle
}

// canTake reports whether there is room for another chunk.
func (m *member) canTake() bool {
	_, bytes := m.link.Room()
	return bytes >= minRoom
}

// wakeUp sends the pump of an idle member on its way; under the crew's lock.
func (m *member) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// collect settles what the worker has finished and returns how much that was.
func (m *member) collect() (int, error) {
	m.results = m.results[:0]
	err := m.link.Collect(func(r link.Result) { m.results = append(m.results, r) })
	if len(m.results) == 0 {
		return 0, err
	}
	c := m.crew
	c.mu.Lock()
	m.settled = m.settled[:0]
	for _, r := range m.results {
		j, i, bad := m.work.Done(r.Seq)
		if bad != nil {
			err = errors.Join(err, bad)
			break
		}
		f := finished{j.Data.(*job), i}
		c.retire(f.job, 1)
		m.settled = append(m.settled, f)
	}
	m.observe()
	c.mu.Unlock()

	for k, f := range m.settled {
		f.job.batch.Settle(f.i, Outcome{Kind: m.results[k].Kind, Data: m.results[k].Data})
	}

	c.mu.Lock()
	for k := 0; k < len(m.settled); {
		j, from := m.settled[k].job, k
		for k < len(m.settled) && m.settled[k].job == j {
			k++
		}
		c.account(j, k-from)
	}
	if m.work.Tasks() == 0 {
		m.heavy = 0
	}
	c.mu.Unlock()
	n := len(m.settled)
	clear(m.settled)
	clear(m.results)
	return n, err
}

// observe tells the scheduler how long tasks take.
func (m *member) observe() {
	busy, tasks := m.link.Busy()
	if tasks > m.tasks && busy >= m.busy && len(m.settled) > 0 {
		f := m.settled[len(m.settled)-1].job.Func
		f.Observe(int(min(tasks-m.tasks, 1<<30)), busy-m.busy)
	}
	m.busy, m.tasks = busy, tasks
}
