// Package sched decides which task goes to which worker. It is a plain state
// machine: it starts nothing, waits for nothing and reads no clock. Its caller
// holds one lock around all calls.
//
// Jobs take turns, a chunk each, so that a long Map does not hold up a Call.
// What waits at a worker is counted in time: about Depth of work by the
// measured time of the function's tasks, so that trivial tasks travel by the
// thousand and slow ones wait two deep, where another worker can still take
// them back.
package sched

import "time"

const (
	// Depth is how much work is on its way to a worker, in time. When half of that has begun, the
	// worker asks for more: that often its parent is woken.
	Depth = 10 * time.Millisecond
	// minDeep is the least number of tasks: one running, one waiting.
	minDeep = 2
	// worthwhile is the least work for which another worker is bothered.
	worthwhile = 200 * time.Microsecond
	// Where there are more workers than processors, more of them are of use for tasks that wait
	// for something. Those that take less than short do not, as a rule, and crowded is
	// then the least work.
	short   = 100 * time.Microsecond
	crowded = 2 * time.Millisecond
	// longest is the longest time of a task that is believed: a worker that
	// lies about it is not to make sums overflow.
	longest = 24 * time.Hour
	// maxChunk bounds a chunk in tasks, so that its room comes back early.
	maxChunk = 4096
)

// A Func is what is known of a function's tasks.
type Func struct {
	average time.Duration
	known   bool
	done    int
	chunk   int
}

// Finished counts n tasks.
func (f *Func) Finished(n int) { f.done += n }

// Done is how many tasks have been counted.
func (f *Func) Done() int { return f.done }

// Chunk is how many were handed out together last.
func (f *Func) Chunk() int { return f.chunk }

// rise is how many times the average tasks are taken to take at most, once: some of which the
// processor was taken away seem to take ten times as long, and those that do will be seen again.
const rise = 4

// Observe adds n tasks that took busy together.
func (f *Func) Observe(n int, busy time.Duration) {
	if n <= 0 || busy < 0 {
		return
	}
	each := min(busy/time.Duration(n), longest)
	if !f.known {
		f.average, f.known = each, true
		return
	}
	f.average += (min(each, rise*(f.average+1)) - f.average) / 2
}

// Average is the time of a task; 0 while unknown.
func (f *Func) Average() time.Duration { return f.average }

// Known reports whether any task has been measured.
func (f *Func) Known() bool { return f.known }

// deep returns how many tasks make up d.
func (f *Func) deep(d time.Duration) int {
	if !f.known {
		return 1
	}
	return int(min(d/(f.average+1), 1<<20))
}

// A Job is a batch of tasks of one function.
type Job struct {
	Func   *Func
	Size   int  // tasks a chunk; 0: by time
	Cancel bool // set by Drop: no task of it is to begin any more
	Data   any  // the caller's

	ranges  []span // not handed out, in order of preference
	first   [1]span
	pending int
	queued  bool
}

// span is a run of elements.
type span struct{ lo, n int }

// Init makes j a job of n elements that travel size at a time, 0 for by time. The size may be
// any: more than there are elements would only make sums overflow.
func (j *Job) Init(f *Func, n, size int) {
	j.Func, j.Size, j.pending = f, min(size, n), n
	j.first[0] = span{0, n}
	j.ranges = j.first[:]
}

// Pending is how many elements have not been handed out.
func (j *Job) Pending() int { return j.pending }

// take removes up to n elements that follow one another.
func (j *Job) take(n int) span {
	r := &j.ranges[0]
	s := span{r.lo, min(n, r.n)}
	r.lo, r.n = r.lo+s.n, r.n-s.n
	if r.n == 0 {
		j.ranges = j.ranges[1:]
	}
	j.pending -= s.n
	return s
}

func (j *Job) giveBack(s span) {
	if s.n == 0 {
		return
	}
	j.pending += s.n
	if len(j.ranges) > 0 && j.ranges[0].lo == s.lo+s.n {
		j.ranges[0] = span{s.lo, s.n + j.ranges[0].n}
		return
	}
	j.ranges = append([]span{s}, j.ranges...)
}

// Take hands out all pending elements of a job that was never added.
func (j *Job) Take() Chunk {
	c := j.take(j.pending)
	j.Func.chunk = c.n
	return Chunk{Job: j, Lo: c.lo, N: c.n}
}

// A Chunk is a run of a job's elements; once launched its tasks have numbers.
type Chunk struct {
	Job    *Job
	Lo     int
	N      int
	Seq    uint32
	Weight int // what it takes of something that is limited, until it is done

	each time.Duration // of a task, as known when the chunk was sent
}

// A Scheduler holds the jobs with pending elements, in turn.
type Scheduler struct {
	first   []*Job // got elements back, and go before all others; the last is next
	queue   fifo[*Job]
	live    int // jobs in both that are not cancelled
	workers int // in service
	idle    int // of those, without work
	cpus    int // on which they run
}

// New returns a scheduler for workers that have so many processors.
func New(cpus int) Scheduler { return Scheduler{cpus: cpus} }

// Workers sets how many workers are in service and how many of them are idle.
func (s *Scheduler) Workers(all, idle int) { s.workers, s.idle = all, idle }

// Add queues a job that has pending elements.
func (s *Scheduler) Add(j *Job) {
	if s.enters(j) {
		s.queue.push(j)
	}
}

// enters reports whether j is to be queued, and notes that it is.
func (s *Scheduler) enters(j *Job) bool {
	if j.queued || j.pending == 0 || j.Cancel {
		return false
	}
	j.queued = true
	s.live++
	return true
}

// Next is the job whose turn it is; nil if none has pending elements.
func (s *Scheduler) Next() *Job {
	for {
		var j *Job
		switch {
		case len(s.first) > 0:
			j = s.first[len(s.first)-1]
		case s.queue.len() > 0:
			j = *s.queue.at(0)
		default:
			return nil
		}
		if !j.Cancel {
			return j
		}
		s.pop()
	}
}

// pop removes the job that Next looks at.
func (s *Scheduler) pop() {
	if n := len(s.first); n > 0 {
		s.first[n-1].queued = false
		s.first[n-1] = nil
		s.first = s.first[:n-1]
		return
	}
	(*s.queue.at(0)).queued = false
	s.queue.shift()
}

// Drop cancels a job: nothing of it will be handed out any more. It calls f for
// each run of elements that were pending.
func (s *Scheduler) Drop(j *Job, f func(lo, n int)) {
	if j.queued && !j.Cancel {
		s.live--
	}
	j.Cancel = true
	ranges := j.ranges
	j.ranges, j.pending = nil, 0
	for _, r := range ranges {
		f(r.lo, r.n)
	}
}

// Len is how many jobs wait for their turn.
func (s *Scheduler) Len() int { return s.live }

// Clear cancels all jobs that wait and calls f for what was pending.
func (s *Scheduler) Clear(f func(j *Job, lo, n int)) {
	for j := s.Next(); j != nil; j = s.Next() {
		s.Drop(j, func(lo, n int) { f(j, lo, n) })
	}
}

// Claim hands out the next chunk for w, of at most room tasks. Without a chunk
// there is nothing to do, or w has enough.
func (s *Scheduler) Claim(w *Worker, room int) (Chunk, bool) {
	j := s.Next()
	if j == nil {
		return Chunk{}, false
	}
	n := min(s.share(j, w), room)
	if n <= 0 {
		return Chunk{}, false
	}
	c := j.take(n)
	j.Func.chunk = c.n
	s.pop()
	s.live--
	s.Add(j)
	return Chunk{Job: j, Lo: c.lo, N: c.n}, true
}

// share is how many of j's elements w may have now.
func (s *Scheduler) share(j *Job, w *Worker) int {
	target := max(j.Func.deep(Depth-w.Ahead()), minDeep-w.tasks)
	if w.tasks >= minDeep && w.Ahead() >= Depth {
		return 0
	}
	if w.tasks >= minDeep && !j.Func.known {
		return 0
	}
	if j.Size > 0 {
		if w.tasks > 0 && w.tasks+j.Size > max(target, minDeep*j.Size) {
			return 0
		}
		return j.Size
	}
	if target <= 0 {
		return 0
	}
	if w.tasks == 0 && !j.Func.known {
		target = 1
	}
	// Leave others their part, unless it would not be worth waking them.
	fair := max(j.pending/(2*max(s.workers, 1))+1, j.Func.deep(s.grain(j)))
	if w.tasks > 0 && (!j.Func.known || j.Func.average > worthwhile) {
		fair = min(fair, j.pending-s.idle) // the idle come first
	}
	return min(target, fair, maxChunk)
}

// grain is the least work of a job for which another worker is bothered.
func (s *Scheduler) grain(j *Job) time.Duration {
	if s.workers > s.cpus && s.cpus > 0 && j.Func.average < short {
		return crowded
	}
	return worthwhile
}

// Wanted is how many workers that are idle are worth waking for a job.
func (s *Scheduler) Wanted(j *Job) int {
	each := max(j.Size, 1)
	if j.Size == 0 {
		each = max(j.Func.deep(s.grain(j)), 1)
	}
	return (j.pending + each - 1) / each
}

// Demand is how many workers are worth having for all jobs that wait, or most if there are more.
func (s *Scheduler) Demand(most int) (n int) {
	add := func(j *Job) {
		if !j.Cancel {
			n += s.Wanted(j)
		}
	}
	for i := len(s.first) - 1; i >= 0 && n < most; i-- {
		add(s.first[i])
	}
	for i := 0; i < s.queue.len() && n < most; i++ {
		add(*s.queue.at(i))
	}
	return min(n, most)
}

// Return gives back elements of a claimed chunk that will not be run where they
// were to; of a cancelled job, to drop.
func (s *Scheduler) Return(c Chunk, drop Drop) {
	if c.Job.Cancel {
		if c.N > 0 {
			drop(c.Job, c.Lo, c.N)
		}
		return
	}
	c.Job.giveBack(span{c.Lo, c.N})
	if s.enters(c.Job) {
		s.first = append(s.first, c.Job)
	}
}
