// Package sched decides which task goes to which worker. It is a plain state machine: it starts no
// goroutines, never waits, and does not read the clock. The caller must serialize all calls with a
// lock.
//
// Jobs take turns after each chunk, so that a long Map does not delay a Call. The queue at a worker
// is measured in time: it holds about Depth of work, estimated from the measured times of the
// function's tasks. So trivial tasks are sent by the thousand, while only two slow tasks at a time
// are at a worker, where the one that waits can still be taken back for another worker.
package sched

import "time"

const (
	// Depth is how much work, measured in time, is in transit to a worker. When the worker has
	// started half of it, the worker wakes its parent to ask for more.
	Depth = 10 * time.Millisecond
	// minDeep is the minimum number of tasks at a worker: one running, one waiting.
	minDeep = 2
	// worthwhile is the minimum amount of work for which waking another worker pays off.
	worthwhile = 200 * time.Microsecond
	// If there are more workers than processors, the surplus workers help only with tasks that wait
	// for something. Tasks that take less time than short usually do not wait. For such tasks,
	// crowded replaces worthwhile.
	short   = 100 * time.Microsecond
	crowded = 2 * time.Millisecond
	// longest caps the reported time of a task, so that a worker that reports a false time cannot
	// make sums overflow.
	longest = 24 * time.Hour
	// maxChunk limits the number of tasks in a chunk, so that the chunk's space is freed early.
	maxChunk = 4096
)

// A Func contains what the scheduler knows about the tasks of a function.
type Func struct {
	average time.Duration
	known   bool
	done    int
	chunk   int
}

// Finished counts n finished tasks.
func (f *Func) Finished(n int) { f.done += n }

// Done returns the number of finished tasks.
func (f *Func) Done() int { return f.done }

// Chunk returns the size of the chunk that was handed out last.
func (f *Func) Chunk() int { return f.chunk }

// rise limits the effect of a single observation, which counts as at most rise times the average.
// Tasks that were preempted may seem to take ten times as long as usual. Tasks that really take
// longer will be observed again.
const rise = 4

// Observe adds a measurement: n tasks took the time busy in total.
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

// Average returns the average time of a task, or 0 if it is unknown.
func (f *Func) Average() time.Duration { return f.average }

// Known reports whether any task has been measured.
func (f *Func) Known() bool { return f.known }

// deep returns how many tasks take the time d in total.
func (f *Func) deep(d time.Duration) int {
	if !f.known {
		return 1
	}
	return int(min(d/(f.average+1), 1<<20))
}

// A Job is a batch of tasks of one function.
type Job struct {
	Func   *Func
	Size   int  // tasks in a chunk; 0 means that their time decides
	Cancel bool // set by Drop: no further task of the job may start
	Data   any  // for the caller

	ranges  []span // elements that have not been handed out, in order of preference
	first   [1]span
	pending int
	queued  bool
}

// span is a range of consecutive elements.
type span struct{ lo, n int }

// Init makes j a job of n elements. Each chunk contains size elements; if size is 0, the time of
// the tasks decides. If size is larger than n, n is used, so that sums cannot overflow.
func (j *Job) Init(f *Func, n, size int) {
	j.Func, j.Size, j.pending = f, min(size, n), n
	j.first[0] = span{0, n}
	j.ranges = j.first[:]
}

// Pending returns how many elements have not been handed out.
func (j *Job) Pending() int { return j.pending }

// take removes up to n consecutive elements.
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

// A Chunk is a range of a job's elements. Once it is launched, its tasks have numbers.
type Chunk struct {
	Job    *Job
	Lo     int
	N      int
	Seq    uint32
	Weight int // how much of a limited resource the chunk occupies until it is done

	each time.Duration // the time of a task, as known when the chunk was sent
}

// A Scheduler holds the jobs with pending elements, in turn.
type Scheduler struct {
	first   []*Job // jobs that got elements back; they precede all others, and the last one is next
	queue   fifo[*Job]
	live    int // jobs in first and queue that are not cancelled
	workers int // workers in service
	idle    int // idle workers among them
	cpus    int // processors for the workers
}

// New returns a scheduler for workers that share the given number of processors.
func New(cpus int) Scheduler { return Scheduler{cpus: cpus} }

// Workers sets how many workers are in service and how many of them are idle.
func (s *Scheduler) Workers(all, idle int) { s.workers, s.idle = all, idle }

// Add queues a job that has pending elements.
func (s *Scheduler) Add(j *Job) {
	if s.enters(j) {
		s.queue.push(j)
	}
}

// enters reports whether j must be queued, and if so marks it as queued.
func (s *Scheduler) enters(j *Job) bool {
	if j.queued || j.pending == 0 || j.Cancel {
		return false
	}
	j.queued = true
	s.live++
	return true
}

// Next returns the job whose turn it is, or nil if no job has pending elements.
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

// pop removes the job that Next would return.
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

// Drop cancels a job, so that no more of its elements are handed out. It calls f for each range of
// pending elements.
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

// Len returns how many jobs wait for their turn.
func (s *Scheduler) Len() int { return s.live }

// Clear cancels all waiting jobs and calls f for their pending elements.
func (s *Scheduler) Clear(f func(j *Job, lo, n int)) {
	for j := s.Next(); j != nil; j = s.Next() {
		s.Drop(j, func(lo, n int) { f(j, lo, n) })
	}
}

// Claim hands out the next chunk for w, which has at most room tasks. It reports false if there is
// nothing to do or if w has enough tasks.
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

// share returns how many elements of j w may get now.
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

	// Leave a fair share to other workers, unless waking them would not pay off.
	fair := max(j.pending/(2*max(s.workers, 1))+1, j.Func.deep(s.grain(j)))
	if w.tasks > 0 && (!j.Func.known || j.Func.average > worthwhile) {
		fair = min(fair, j.pending-s.idle) // idle workers come first
	}

	return min(target, fair, maxChunk)
}

// grain returns the minimum amount of j's work for which waking another worker pays off.
func (s *Scheduler) grain(j *Job) time.Duration {
	if s.workers > s.cpus && s.cpus > 0 && j.Func.average < short {
		return crowded
	}
	return worthwhile
}

// Wanted returns how many idle workers are worth waking for a job.
func (s *Scheduler) Wanted(j *Job) int {
	each := max(j.Size, 1)
	if j.Size == 0 {
		each = max(j.Func.deep(s.grain(j)), 1)
	}
	return (j.pending + each - 1) / each
}

// Demand returns how many workers are worth having for all waiting jobs, but no more than most.
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

// Return puts elements of a claimed chunk back in the queue, because the chunk's worker will not
// run them. If the job is cancelled, Return calls drop for them instead.
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
