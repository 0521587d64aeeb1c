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

// A member is one worker process in service.
type member struct {
	crew   *Crew
	num    atomic.Int32 // its number in the crew, from 1; 0 while it is a spare
	name   string
	proc   *spawn.Process
	link   *link.Link
	broker connection
	wake   chan struct{} // wakes the pump; capacity 1
	fns    map[string]int
	errs   *forwarder // its stderr, with the last words
	outs   *forwarder
	ears   chan struct{} // closed when no more messages come

	taken chan struct{} // closed when a spare gets a place

	// Under the crew's lock.
	work      sched.Worker
	idle      bool      // in crew.idle, the pump asleep
	since     time.Time // it is idle; only if that matters
	leased    bool      // a lone caller is in the pump's place
	hungry    bool      // could take more than the queue had
	looking   bool      // it is about to look for tasks
	dead      bool
	leaving   bool  // it makes way for a fresh one and gets no more tasks
	tired     bool  // that is for want of tasks
	departing bool  // it has left its place
	finished  int   // tasks of which the outcomes are known
	cause     error // why we kill it
	ready     bool  // its start is over
	doomed    bool  // we are about to kill it: it gets no more tasks
	hadMuch   bool  // at the last sample, it had mapped most of the memory that it may map
	stalled   bool  // it has begun none for long: it gets no more until it goes on
	sending   *job  // whose body is being sent
	seen      sighting
	stacks    string        // of the task that is being ended
	answer    chan struct{} // closed when they have come
	asked     asking
	started   time.Time
	usage     usage
	before    int           // workers that had its place before
	why       string        // it makes way
	outage    time.Duration // before it came, in which tasks did not wait for its place

	// The pump's.
	results  link.Results
	done     []outcomes // of results, in their order
	enc      []byte
	end      uint32
	body     []byte // too large for the ring, yet to be sent
	bodySeq  uint32
	bodyJob  *job
	busy     time.Duration
	tasks    uint64
	long     run    // a task among those collected that took long
	longSeq  uint32 // the last of which that is known
	longTook time.Duration
	lost     int // tasks that its death has cost
	death    Death
}

// pump carries tasks and results until the worker is dead.
func (m *member) pump() {
	for {
		more, err := m.collect()
		if more {
			runtime.Gosched() // what they submit now travels together
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

// condemn kills a worker whose link is broken and returns when it is dead. A
// closed bell or a broken pipe is what a death looks like from here, and so is a
// deadline, which EndReading sets: that tells its own cause.
func (m *member) condemn(err error) {
	if !likeDeath(err) || m.outlives() {
		m.blame(err)
	}
	m.proc.Kill()
	<-m.proc.Done()
}

// How long the end of a process that has closed its descriptors may take until it is known.
const (
	dying     = time.Second     // a process that still runs by then is ended
	reporting = 4 * time.Second // as much longer for a process that runs no more: how it ended is still to be told
)

// outlives reports whether the worker still runs some time after what looks like its death. That its end is not known
// by then does not say so: the end may be slow.
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

// deaf is called when nothing more can be heard of the worker. If it is not dead
// it has to be ended: it could not be told to cancel a task any more.
func (m *member) deaf(why error) {
	switch {
	case !likeDeath(why):
		m.blame(why)
	case m.outlives():
		m.blame(errors.New("it closed its socket"))
	}
	m.proc.Kill()
}

// leastGrace is how long a worker may take nothing of what it is sent, however short the
// grace period is: one that waits for a processor is not stuck.
const leastGrace = time.Second

// stuck is called when the worker does not take what it is sent, of which as much waits as may. As
// long as it lives it could be told nothing.
func (m *member) stuck(why error) {
	m.blame(why)
	m.proc.Kill()
}

// blame notes why a worker must end, unless that is known.
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

// inService reports whether m is a member that takes part; under the crew's lock. A worker that nothing more
// can be heard of does not, even if the end of its process has not been noticed yet: a caller may know of it
// already, from the question or the task that it did not answer.
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

// next decides what the pump does now.
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

// wakeUp sends the pump of an idle member on its way; under the crew's lock.
func (m *member) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// collect settles what the worker has finished, and reports whether somebody who has waited for that
// may have the next task ready: his job is done, or no task waits.
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
	m.link.Accounted() // under the lock, so that the tasks and this agree for everybody who looks
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

// match finds the elements whose outcomes lie in r.
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

// outcomes are a run's, all of one kind.
type outcomes struct {
	run
	kind uint8
	data [][]byte
}

// What is larger than codec.Large does not lie in a ring, where something else would follow it.
const _ = uint(codec.Large - link.MaxInline)

// settle hands over outcomes.
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

// observe tells the scheduler how long tasks take. The worker's figures are believed as far
// as they can be true: they decide how others' tasks are divided, too.
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
