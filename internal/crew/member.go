//go:build linux

package crew

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/runner"
	"github.com/go-multiprocessing/mp/internal/sched"
	"github.com/go-multiprocessing/mp/internal/spawn"
)

// A member is one worker process.
type member struct {
	crew   *Crew
	num    atomic.Int32 // its slot, counted from 1; 0 while it is a spare
	name   string
	proc   *spawn.Process
	link   *link.Link
	broker connection
	wake   chan struct{} // wakes the pump; capacity 1
	fns    map[string]int
	errs   *forwarder // its standard error; keeps its end
	outs   *forwarder
	ears   chan struct{} // closed when the worker sends no more messages

	taken chan struct{} // closed when a spare gets a slot

	// The pool's lock guards the fields below.
	work      sched.Worker
	idle      bool      // in crew.idle; the pump sleeps
	since     time.Time // when it became idle; set only if Recycle.Idle is
	leased    bool      // a caller has the pump's role
	hungry    bool      // could take more tasks than the queue had
	looking   bool      // it is about to look for tasks
	dead      bool
	leaving   bool  // makes way for a fresh worker and gets no more tasks
	tired     bool  // makes way because it was idle
	departing bool  // has left its slot
	finished  int   // tasks whose outcomes are known
	cause     error // why the pool kills it
	ready     bool  // its start is over
	doomed    bool  // will be killed and gets no more tasks
	hadMuch   bool  // had mapped most of the memory that it may map, at the last sample
	stalled   bool  // started no task for long; gets no more until it goes on
	sending   *job  // the job whose body is being sent
	seen      sighting
	stacks    string        // of the goroutines, if a task is being ended
	answer    chan struct{} // closed when the stacks have come
	asked     asking
	started   time.Time
	usage     usage
	before    int           // workers that had its slot before
	why       string        // why it makes way
	outage    time.Duration // for how long tasks did not wait for its slot

	// Only the pump uses the fields below.
	results  link.Results
	done     []outcomes // the outcomes in results, in order
	enc      []byte
	end      uint32
	body     []byte // too large for the ring; not yet sent
	bodySeq  uint32
	bodyJob  *job
	busy     time.Duration
	tasks    uint64
	long     run    // a slow task among those collected
	longSeq  uint32 // the last slow task that is known
	longTook time.Duration
	lost     int // tasks lost by its death
	death    Death
}

// pump carries tasks and results until the worker is dead.
func (m *member) pump() {
	for {
		more, err := m.collect()
		if more {
			runtime.Gosched() // tasks that callers submit now travel together
		}
		if err == nil {
			err = m.fill()
		}
		if err == nil {
			switch m.next() {
			case sleeping:
				err = m.link.Wait()

			case crowded: // by tasks that were taken back
				err = m.link.WaitRoom()
			case idle:
				<-m.wake
			case stopping:
				if !m.depart() {
					m.sayGoodbye()
				}
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

// condemn kills a worker whose link is broken and returns when the worker is dead. A closed
// doorbell, a broken pipe or a deadline does not name a cause, because a death looks the same: the
// other ends close, and EndReading sets the deadline.
func (m *member) condemn(err error) {
	if !likeDeath(err) || m.outlives() {
		m.blame(err)
	}
	m.proc.Kill()
	<-m.proc.Done()
}

// These limits apply to a process that has closed its descriptors but whose end is not known yet.
const (
	dying = time.Second // then a process that still runs is killed
	// The end of a process that no longer runs is awaited for this much longer, to learn its
	// status.
	reporting = 4 * time.Second
)

// outlives reports whether the worker still runs some time after what looks like its death. A
// worker whose end is slow to be reported does not count.
func (m *member) outlives() bool {
	if m.endsWithin(dying) {
		return false
	}
	if !m.proc.Exiting() {
		return true
	}
	m.endsWithin(reporting)
	return false
}

func (m *member) endsWithin(d time.Duration) bool {
	select {
	case <-m.proc.Done():
		return true
	case <-time.After(d):
		return false
	}
}

func likeDeath(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET, os.ErrDeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// deaf is called when the worker's socket has ended. A worker that still runs is killed, because it
// can no longer be told to cancel a task.
func (m *member) deaf(why error) {
	switch {
	case !likeDeath(why):
		m.blame(why)
	case m.outlives():
		m.blame(errors.New("it closed its socket"))
	}
	m.proc.Kill()
}

// leastGrace is the least time that a worker may leave what it is sent unread, however short the
// grace period is. A worker that waits for a processor is not stuck.
const leastGrace = time.Second

// stuck kills a worker that does not read what it is sent, and so can be told nothing more, or that
// withholds a result.
func (m *member) stuck(why error) {
	m.blame(why)
	m.proc.Kill()
}

// blame records why a worker must end, unless a cause is known already.
func (m *member) blame(why error) {
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	if m.cause == nil && !m.dead {
		m.cause = fmt.Errorf("%w: %w", ErrCorrupt, why)
	}
}

type state int

const (
	again state = iota
	sleeping
	crowded
	idle
	stopping
	over
)

// inService reports whether m takes part. The caller must hold the pool's lock. A worker whose
// socket has ended does not count, even if the end of its process has not been noticed yet: a
// caller may already know of the end, from a query or a task that was not answered.
func (m *member) inService() bool {
	if m == nil || m.dead {
		return false
	}
	select {
	case <-m.ears:
		return false
	default:
		return true
	}
}

// next decides what the pump does next.
func (m *member) next() state {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()

	switch {
	case m.dead:
		return over
	case m.work.Tasks() > 0:
		return sleeping
	case m.doomed:
		return sleeping
	case m.leaving:
		return stopping
	case c.sched.Next() != nil && m.room() > 0:
		return again
	case c.draining && c.open == 0:
		return stopping
	case c.sched.Next() != nil, m.isStalled():
		return crowded
	}

	took, left := c.steal(m, true)
	if took {
		return again
	}

	m.hungry = false
	m.becomeIdle()
	if left {
		c.rebalanceSoon()
	}
	return idle
}

// wakeUp wakes the pump of an idle worker. The caller must hold the pool's lock.
func (m *member) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// collect settles the tasks that the worker has finished. It reports whether the next task may soon
// be submitted, because a job is done or no task waits.
func (m *member) collect() (more bool, err error) {
	err = m.link.Collect(&m.results)
	if len(m.results.Runs) == 0 {
		return false, err
	}

	c := m.crew
	c.mu.Lock()
	m.done = m.done[:0]
	for _, r := range m.results.Runs {
		if bad := m.match(r); bad != nil {
			err = errors.Join(err, bad)
			break
		}
	}
	// Under the lock, so that the tasks and the link's counters agree for every observer.
	m.link.Accounted()
	m.usage.heard(m.work.Tasks() == 0)
	m.observe()
	m.looking = err == nil && m.work.Tasks() == 0
	c.mu.Unlock()

	m.checkMemory()
	if m.long.job != nil {
		c.noteSlow(m.long.job, m.long.lo, Slow{Worker: m.number(), Took: m.longTook})
		m.long = run{}
	}
	for _, d := range m.done {
		m.settle(d)
	}

	c.mu.Lock()
	more = len(m.done) > 0 && c.sched.Next() == nil
	for _, d := range m.done {
		c.account(d.job, d.n)
		more = more || d.job.unsaid == 0
	}
	c.mu.Unlock()
	clear(m.done)
	m.done = m.done[:0]
	m.results.Forget()
	return more, err
}

// match finds the elements whose outcomes are in r. The caller must hold the pool's lock.
func (m *member) match(r link.Run) error {
	for len(r.Data) > 0 {
		ch, err := m.work.Done(r.Seq, len(r.Data))
		if err != nil {
			return err
		}
		j := ch.Job.Data.(*job)
		m.crew.retire(j, ch.N)
		j.Func.Finished(ch.N)
		m.findLong(j, ch.Lo, r.Seq, ch.N)
		m.count(ch.N)
		m.done = append(m.done, outcomes{run{j, ch.Lo, ch.N}, r.Kind, r.Data[:ch.N]})
		r.Seq += uint32(ch.N)
		r.Data = r.Data[ch.N:]
	}
	return nil
}

// outcomes are the outcomes of a run, all of one kind.
type outcomes struct {
	run
	kind uint8
	data [][]byte
}

// Results larger than codec.Large never lie in a ring, where later results would overwrite them.
const _ = uint(codec.Large - link.MaxInline)

// settle delivers outcomes.
func (m *member) settle(d outcomes) {
	batch := d.job.batch
	if d.kind != runner.OK {
		for i, data := range d.data {
			batch.Settle(d.lo+i, nil, m.crew.cfg.Failure(d.job.fn, d.kind, data))
		}
		return
	}
	if all, ok := batch.(RunSettler); ok {
		all.SettleRun(d.lo, d.data)
		return
	}
	for i, data := range d.data {
		batch.Settle(d.lo+i, data, nil)
	}
}

// observe tells the scheduler how long tasks take. It ignores figures that cannot be true, because
// they also decide how the tasks of other workers are divided. The caller must hold the pool's
// lock.
func (m *member) observe() {
	busy, tasks := m.link.Busy()
	if busy < 0 || busy > m.usage.news.Sub(m.usage.serving) || tasks > uint64(m.finished+m.work.Tasks()) {
		return
	}
	if tasks > m.tasks && busy >= m.busy && len(m.done) > 0 {
		f := m.done[len(m.done)-1].job.Func
		f.Observe(int(min(tasks-m.tasks, 1<<30)), busy-m.busy)
	}
	m.busy, m.tasks = busy, tasks
}
