package sched

import (
	"fmt"
	"time"
)

// Marks is used to take back a worker's tasks. Void takes back tasks from hi-1 down to lo, but
// stops at a task that may have started. It returns the lowest task that it took back, or hi if
// there is none. Begun reports whether a task may have started.
type Marks interface {
	Void(lo, hi uint32) uint32
	Begun(seq uint32) bool
}

// A Worker tracks the chunks that are in transit to one worker or running there, in the order of
// their tasks' numbers. Results arrive in the same order.
type Worker struct {
	Marks  Marks
	flight fifo[Chunk]
	tasks  int
	ahead  time.Duration
	heavy  int
}

// Tasks returns how many tasks are in transit or running.
func (w *Worker) Tasks() int { return w.tasks }

// Heavy returns the total weight of the chunks that are in transit or running.
func (w *Worker) Heavy() int { return w.heavy }

// Ahead returns the estimated time that the tasks in transit or running will take. Each task's time
// was estimated when the task was sent.
func (w *Worker) Ahead() time.Duration { return w.ahead }

// Launch notes that c was sent as the tasks from c.Seq on.
func (w *Worker) Launch(c Chunk) {
	c.each = c.Job.Func.average
	w.flight.push(c)
	w.add(c, c.N)
	w.heavy += c.Weight
}

func (w *Worker) add(c Chunk, n int) {
	w.tasks += n
	w.ahead += time.Duration(n) * c.each
}

// Done notes the results of up to n tasks from seq on, and returns those tasks' elements, which all
// belong to one job. If the results are out of order, Done returns an error.
func (w *Worker) Done(seq uint32, n int) (Chunk, error) {
	if w.flight.len() == 0 || w.flight.at(0).Seq != seq {
		return Chunk{}, fmt.Errorf("a result of task %d, which is not due", seq)
	}
	c := w.flight.at(0)
	done := *c
	done.N = min(n, c.N)
	w.add(*c, -done.N)
	c.Lo, c.N, c.Seq = c.Lo+done.N, c.N-done.N, c.Seq+uint32(done.N)
	if c.N == 0 {
		w.heavy -= c.Weight
		w.flight.shift()
	}
	return done, nil
}

// Running returns the task that started last, if its result has not been collected. As far as is
// known, that is the task that is running.
func (w *Worker) Running() (task Chunk, ok bool) {
	for i := w.flight.len() - 1; i >= 0; i-- {
		c := *w.flight.at(i)
		if !w.Marks.Begun(c.Seq) {
			continue
		}
		k := c.N - 1
		for k > 0 && !w.Marks.Begun(c.Seq+uint32(k)) {
			k--
		}
		return Chunk{Job: c.Job, Lo: c.Lo + k, N: 1, Seq: c.Seq + uint32(k)}, true
	}
	return Chunk{}, false
}

// Has reports whether task seq is in transit or running, judging by the results collected so far.
func (w *Worker) Has(seq uint32) bool {
	for i := range w.flight.len() {
		if c := w.flight.at(i); seq-c.Seq < uint32(c.N) {
			return true
		}
	}
	return false
}

// Left returns the last task of a job that is in transit or running, judging by the results
// collected so far.
func (w *Worker) Left(j *Job) (seq uint32, ok bool) {
	for i := w.flight.len() - 1; i >= 0; i-- {
		if c := w.flight.at(i); c.Job == j {
			return c.Seq + uint32(c.N) - 1, true
		}
	}
	return 0, false
}

// Front returns the task whose result is due next.
func (w *Worker) Front() (task Chunk, ok bool) {
	if w.flight.len() == 0 {
		return Chunk{}, false
	}
	c := *w.flight.at(0)
	return Chunk{Job: c.Job, Lo: c.Lo, N: 1, Seq: c.Seq}, true
}

// takeBack takes back the tasks from lo on that have not started. It calls f for each range of
// elements that it has taken back, from the last to the first.
func (w *Worker) takeBack(lo uint32, f func(Chunk)) {
	for n := w.flight.len(); n > 0; n = w.flight.len() {
		c := w.flight.at(n - 1)
		from := lo
		if int32(c.Seq-lo) > 0 {
			from = c.Seq
		}
		end := c.Seq + uint32(c.N)
		if int32(end-from) <= 0 {
			return
		}

		got := w.Marks.Void(from, end)
		k := int(end - got)
		c.N -= k
		w.add(*c, -k)
		if k > 0 {
			f(Chunk{Job: c.Job, Lo: c.Lo + c.N, N: k})
		}
		if c.N > 0 {
			return
		}
		w.heavy -= c.Weight
		w.flight.pop()
	}
}

// A Drop is called for elements of a cancelled job that will not be run.
type Drop func(j *Job, lo, n int)

// Cancel takes back the tasks of a cancelled job that w has not started, and calls drop for them.
// Tasks of other jobs behind them return to the queue. If a task of the job is running, Cancel
// returns that task.
func (s *Scheduler) Cancel(w *Worker, j *Job, drop Drop) (running uint32, ok bool) {
	for i := range w.flight.len() {
		c := *w.flight.at(i)
		if c.Job != j {
			continue
		}
		w.takeBack(c.Seq, func(c Chunk) { s.Return(c, drop) })
		break
	}
	if task, begun := w.Running(); begun && task.Job == j {
		return task.Seq, true
	}
	return 0, false
}

// Behind takes back all tasks that wait behind task seq at w.
func (s *Scheduler) Behind(w *Worker, seq uint32, drop Drop) {
	w.takeBack(seq+1, func(c Chunk) { s.Return(c, drop) })
}

// TakeBack takes back all tasks that w has not started.
func (s *Scheduler) TakeBack(w *Worker, drop Drop) {
	if w.flight.len() > 0 {
		w.takeBack(w.flight.at(0).Seq, func(c Chunk) { s.Return(c, drop) })
	}
}

// Dead notes that w's worker is dead. It calls lost for each task that had started and has no
// result. All other tasks return to the queue. If their job is cancelled, Dead calls drop for them
// instead.
func (s *Scheduler) Dead(w *Worker, lost func(j *Job, i int), drop Drop) {
	flight := w.flight
	w.flight, w.tasks, w.ahead, w.heavy = fifo[Chunk]{}, 0, 0, 0
	for i := flight.len() - 1; i >= 0; i-- {
		c := *flight.at(i)
		for k := c.N - 1; k >= 0; k-- {
			if w.Marks.Begun(c.Seq + uint32(k)) {
				lost(c.Job, c.Lo+k)
			} else {
				s.Return(Chunk{Job: c.Job, Lo: c.Lo + k, N: 1}, drop)
			}
		}
	}
}

// Steal finds the worker with the most work and moves the later half of that worker's tasks back to
// the queue, for an idle worker. It does not move tasks that have started. If patient is true, it
// also leaves work that will be done sooner than another worker could start it. Steal reports
// whether it took any tasks, and whether there were any to take.
func (s *Scheduler) Steal(workers []*Worker, patient bool, drop Drop) (took, left bool) {
	var rich *Worker
	var most time.Duration
	for _, w := range workers {
		if w.tasks < 2 {
			continue
		}
		left = true
		if ahead := w.Ahead() + time.Duration(w.tasks); ahead > most {
			rich, most = w, ahead
		}
	}
	if rich == nil || patient && most < worthwhile {
		return false, left
	}
	return rich.shed(s, drop), left
}

// shed returns the later half of w's tasks to the queue, except for those that have started. It
// reports whether it returned any.
func (w *Worker) shed(s *Scheduler, drop Drop) (took bool) {
	keep := (w.tasks + 1) / 2
	for i := range w.flight.len() {
		c := *w.flight.at(i)
		if keep >= c.N {
			keep -= c.N
			continue
		}
		w.takeBack(c.Seq+uint32(keep), func(c Chunk) {
			took = true
			s.Return(c, drop)
		})
		return took
	}
	return false
}
