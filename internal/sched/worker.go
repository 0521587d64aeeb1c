package sched

import (
	"fmt"
	"time"
)

// Marks is how a worker's tasks are taken back: Void takes the tasks from hi-1
// down to lo that have not begun and returns the lowest of them, hi if none.
type Marks interface {
	Void(lo, hi uint32) uint32
	Begun(seq uint32) bool
}

// A Worker is what is on its way to one worker: chunks in the order of their
// numbers, of which the results come in that order too.
type Worker struct {
	Marks  Marks
	flight fifo[Chunk]
	tasks  int
	ahead  time.Duration
	heavy  int
}

// Tasks is how many tasks are on their way or running.
func (w *Worker) Tasks() int { return w.tasks }

// Heavy is the weight of the chunks on their way.
func (w *Worker) Heavy() int { return w.heavy }

// Ahead is the time that the tasks on their way will take, as far as it was
// known when they were sent.
func (w *Worker) Ahead() time.Duration { return w.ahead }

// Launch notes that c was sent as tasks c.Seq and following.
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

// Done notes the results of task seq and those that follow it, at most n, and
// returns the elements that they belong to: all of one job. Results must come in
// order; any other is an error.
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

// Running is the task that began last, if its result has not been collected: as
// far as known the one that runs.
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

// Has reports whether task seq is on its way or running, as far as results have been collected.
func (w *Worker) Has(seq uint32) bool {
	for i := range w.flight.len() {
		if c := w.flight.at(i); seq-c.Seq < uint32(c.N) {
			return true
		}
	}
	return false
}

// Left is the last task of a job that is on its way or running, as far as results have been collected.
func (w *Worker) Left(j *Job) (seq uint32, ok bool) {
	for i := w.flight.len() - 1; i >= 0; i-- {
		if c := w.flight.at(i); c.Job == j {
			return c.Seq + uint32(c.N) - 1, true
		}
	}
	return 0, false
}

// Front is the task whose result is due next.
func (w *Worker) Front() (task Chunk, ok bool) {
	if w.flight.len() == 0 {
		return Chunk{}, false
	}
	c := *w.flight.at(0)
	return Chunk{Job: c.Job, Lo: c.Lo, N: 1, Seq: c.Seq}, true
}

// takeBack voids tasks from lo on, as far as they have not begun, and calls f
// for each run of elements that this frees, the last first.
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

// Cancel takes back what w has not begun of a cancelled job and calls drop for
// it; tasks of other jobs behind it return to the queue. It reports the task of
// the job that is running, if any.
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

// Behind takes back all that waits behind task seq of w.
func (s *Scheduler) Behind(w *Worker, seq uint32, drop Drop) {
	w.takeBack(seq+1, func(c Chunk) { s.Return(c, drop) })
}

// TakeBack takes back all that w has not begun.
func (s *Scheduler) TakeBack(w *Worker, drop Drop) {
	if w.flight.len() > 0 {
		w.takeBack(w.flight.at(0).Seq, func(c Chunk) { s.Return(c, drop) })
	}
}

// Dead ends w's service: lost is called for each task that had begun and has
// no result, and all others return to the queue, or to drop where their job is
// cancelled.
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

// Steal moves work from the worker with the most of it back to the queue, for
// an idle one: half of what has not begun. It reports whether there is any, and
// whether it took it; work that will be done sooner than another worker could
// begin is left, unless patient is false.
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

// shed gives back the later half of the tasks that have not begun.
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
