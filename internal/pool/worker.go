//go:build linux

package pool

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
	"github.com/go-multiprocessing/mp/internal/sched"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/task"
)

// A worker is one worker process.
type worker struct {
	pool       *Pool
	num        atomic.Int32 // its slot, counted from 1; 0 while it is a spare
	name       string
	proc       *spawn.Process
	link       *link.Link
	broker     connection
	wake       chan struct{} // wakes the pump; capacity 1
	fns        map[string]int
	errs       *forwarder // forwards its standard error and keeps the end of that output
	outs       *forwarder
	readerDone chan struct{} // closed when the worker sends no more messages

	taken chan struct{} // closed when a spare gets a slot

	// The pool's lock guards the fields below.
	work        sched.Worker
	idle        bool      // in pool.idle; the pump sleeps
	since       time.Time // when it became idle; set only if Recycle.Idle is
	leased      bool      // a caller has the pump's role
	wantsMore   bool      // it could take more tasks than the queue had
	returning   bool      // it is about to look for tasks
	dead        bool
	leaving     bool  // it makes way for a fresh worker and gets no more tasks
	idleTooLong bool  // makes way because it was idle
	departing   bool  // has left its slot
	finished    int   // tasks whose outcomes are known
	cause       error // why the pool kills it
	ready       bool  // its start is over
	killing     bool  // it will be killed and gets no more tasks
	nearLimit   bool  // had mapped most of the memory that it may map, at the last sample
	stalled     bool  // it has started no task for a long time; gets no more until it continues
	sending     *job  // the job whose body is being sent
	seen        sighting
	stacks      string        // of the goroutines, if a task is being ended
	answer      chan struct{} // closed when the stacks have come
	asked       asking
	started     time.Time
	usage       usage
	before      int           // workers that had its slot before
	why         string        // why it makes way
	outage      time.Duration // how long its slot could not be filled; 0 if tasks still waited

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
	longSeq  uint32 // the latest slow task that is known
	longTook time.Duration
	lost     int // tasks lost by its death
	death    Death
	mayRetry bool // the cause of the death allows another attempt of the running tasks
}

// pump carries tasks and results until the worker is dead or has to go.
func (w *worker) pump() {
	for {
		more, err := w.collect()
		if more {
			runtime.Gosched() // tasks that callers submit now are sent together
		}
		if err == nil {
			err = w.fill()
		}
		if err == nil {
			switch w.next() {
			case sleeping:
				err = w.link.Wait()

			case crowded: // the ring is full of tasks that were taken back
				err = w.link.WaitRoom()
			case idle:
				<-w.wake
			case stopping:
				if !w.depart() {
					w.awaitTeardown()
				}
				return
			case over:
				return
			}
		}

		if err != nil {
			w.killBroken(err)
			return
		}
	}
}

// killBroken kills a worker whose link is broken and returns when the worker is dead. An error such
// as a closed doorbell, a broken pipe or a passed deadline is not recorded as the cause if the
// worker ends soon, because a death causes the same errors: the other ends are closed, and
// EndReading sets the deadline.
func (w *worker) killBroken(err error) {
	if !likeDeath(err) || w.outlives() {
		w.setCause(err)
	}
	w.proc.Kill()
	<-w.proc.Done()
}

// These limits apply to a process that has closed its descriptors but whose end is not known yet.
const (
	maxExitTime = time.Second // a process that still runs after this time is killed
	// A process that no longer runs gets this much more time until its end is known, so that its
	// status can be reported.
	maxStatusTime = 4 * time.Second
)

// outlives reports whether the worker is still running some time after it seemed to have died. A
// worker whose end is merely reported late does not count as running.
func (w *worker) outlives() bool {
	if w.endsWithin(maxExitTime) {
		return false
	}
	if !w.proc.Exiting() {
		return true
	}
	w.endsWithin(maxStatusTime)
	return false
}

func (w *worker) endsWithin(d time.Duration) bool {
	select {
	case <-w.proc.Done():
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

// onSocketLost is called when the worker's socket has ended. It kills a worker that still runs,
// because such a worker can no longer be told to cancel a task.
func (w *worker) onSocketLost(why error) {
	switch {
	case !likeDeath(why):
		w.setCause(why)
	case w.outlives():
		w.setCause(errors.New("it closed its socket"))
	}
	w.proc.Kill()
}

// minGrace is the minimum time that a worker may leave messages unread, however short the grace
// period is. A worker that merely waits for a processor is not stuck.
const minGrace = time.Second

// stuck kills a worker that withholds a result, or that does not read its messages and so can no
// longer be told anything.
func (w *worker) stuck(why error) {
	w.setCause(why)
	w.proc.Kill()
}

// setCause records why a worker must end, unless a cause is already known.
func (w *worker) setCause(why error) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.cause == nil && !w.dead {
		w.cause = fmt.Errorf("%w: %w", ErrProtocol, why)
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

// inService reports whether w is in service. A worker whose socket has ended is not, even if the
// end of its process has not been noticed yet: a caller may already know of the end, from a query
// or a task that was not answered. The caller must hold the pool's lock.
func (w *worker) inService() bool {
	if w == nil || w.dead {
		return false
	}
	select {
	case <-w.readerDone:
		return false
	default:
		return true
	}
}

// next decides what the pump does next.
func (w *worker) next() state {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()

	switch {
	case w.dead:
		return over
	case w.work.Tasks() > 0:
		return sleeping
	case w.killing:
		return sleeping
	case w.leaving:
		return stopping
	case p.sched.Next() != nil && w.room() > 0:
		return again
	case p.draining && p.open == 0:
		return stopping
	case p.sched.Next() != nil, w.isStalled():
		return crowded
	}

	took, left := p.steal(w, true)
	if took {
		return again
	}

	w.wantsMore = false
	w.becomeIdle()
	if left {
		p.rebalanceSoon()
	}
	return idle
}

// wakeUp wakes the pump of an idle worker. The caller must hold the pool's lock.
func (w *worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// collect settles the tasks that the worker has finished. It reports whether callers may submit
// more tasks soon, because a job is done or no task is waiting.
func (w *worker) collect() (more bool, err error) {
	err = w.link.Collect(&w.results)
	if len(w.results.Runs) == 0 {
		return false, err
	}

	p := w.pool
	p.mu.Lock()
	w.done = w.done[:0]
	for _, r := range w.results.Runs {
		if bad := w.match(r); bad != nil {
			err = errors.Join(err, bad)
			break
		}
	}
	// Under the lock, so that the tasks and the link's counters agree for every observer.
	w.link.Accounted()
	w.usage.heard(w.work.Tasks() == 0)
	w.observe()
	w.returning = err == nil && w.work.Tasks() == 0
	p.mu.Unlock()

	w.checkMemory()
	if w.long.job != nil {
		p.noteSlow(w.long.job, w.long.lo, Slow{Worker: w.number(), Took: w.longTook})
		w.long = run{}
	}
	for _, d := range w.done {
		w.settle(d)
	}

	p.mu.Lock()
	more = len(w.done) > 0 && p.sched.Next() == nil
	for _, d := range w.done {
		p.account(d.job, d.n)
		more = more || d.job.unsettled == 0
	}
	p.mu.Unlock()
	clear(w.done)
	w.done = w.done[:0]
	w.results.Forget()
	return more, err
}

// match finds the elements whose outcomes are in r. The caller must hold the pool's lock.
func (w *worker) match(r link.Run) error {
	for len(r.Data) > 0 {
		ch, err := w.work.Done(r.Seq, len(r.Data))
		if err != nil {
			return err
		}
		j := ch.Job.Data.(*job)
		w.pool.retire(j, ch.N)
		j.Func.Finished(ch.N)
		w.findLong(j, ch.Lo, r.Seq, ch.N)
		w.count(ch.N)
		w.done = append(w.done, outcomes{run{j, ch.Lo, ch.N}, r.Kind, r.Data[:ch.N]})
		r.Seq += uint32(ch.N)
		r.Data = r.Data[ch.N:]
	}
	return nil
}

// outcomes are the outcomes of a run, all of the same kind.
type outcomes struct {
	run
	kind uint8
	data [][]byte
}

// MaxInline is not above codec.Large, so results larger than codec.Large never lie in a ring, where
// later results would overwrite them.
const _ = uint(codec.Large - link.MaxInline)

// settle delivers outcomes.
func (w *worker) settle(d outcomes) {
	batch := d.job.batch
	if d.kind != task.OK {
		for i, data := range d.data {
			batch.Settle(d.lo+i, nil, w.pool.cfg.Failure(d.job.fn, d.kind, data))
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
// a worker's figures also decide how the tasks of other workers are divided. The caller must hold
// the pool's lock.
func (w *worker) observe() {
	busy, tasks := w.link.Busy()
	if busy < 0 || busy > w.usage.news.Sub(w.usage.serving) || tasks > uint64(w.finished+w.work.Tasks()) {
		return
	}
	if tasks > w.tasks && busy >= w.busy && len(w.done) > 0 {
		f := w.done[len(w.done)-1].job.Func
		f.Observe(int(min(tasks-w.tasks, 1<<30)), busy-w.busy)
	}
	w.busy, w.tasks = busy, tasks
}
