package sched

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// fakeMarks records which tasks a worker has started and which were taken back.
type fakeMarks struct{ begun, void map[uint32]bool }

func newMarks() *fakeMarks { return &fakeMarks{map[uint32]bool{}, map[uint32]bool{}} }

func (m *fakeMarks) Void(lo, hi uint32) uint32 {
	for hi != lo && !m.begun[hi-1] {
		hi--
		if m.void[hi] {
			panic(fmt.Sprintf("task %d is taken back twice", hi))
		}
		m.void[hi] = true
	}
	return hi
}

func (m *fakeMarks) Begun(seq uint32) bool { return m.begun[seq] }

// fixture hands chunks to workers and numbers their tasks as the link does.
type fixture struct {
	Scheduler
	next map[*Worker]uint32
}

func (f *fixture) worker() *Worker { return &Worker{Marks: newMarks()} }

func (f *fixture) launch(w *Worker, c Chunk) Chunk {
	if f.next == nil {
		f.next = map[*Worker]uint32{}
	}
	c.Seq = f.next[w]
	f.next[w] += uint32(c.N)
	w.Launch(c)
	return c
}

// fill claims chunks for w until there are no more, and returns them.
func (f *fixture) fill(w *Worker) (got []Chunk) {
	for {
		c, ok := f.Claim(w, 1<<15)
		if !ok {
			return got
		}
		got = append(got, f.launch(w, c))
		if len(got) > 1<<15 {
			panic("Claim does not end")
		}
	}
}

func known(each time.Duration) *Func {
	f := &Func{}
	f.Observe(1, each)
	return f
}

func begin(w *Worker, seqs ...uint32) {
	for _, s := range seqs {
		w.Marks.(*fakeMarks).begun[s] = true
	}
}

func finish(t *testing.T, w *Worker, seqs ...uint32) {
	t.Helper()
	for _, s := range seqs {
		if _, err := w.Done(s, 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestObserve(t *testing.T) {
	f := &Func{}
	f.Observe(0, time.Second)
	f.Observe(-1, time.Second)
	f.Observe(1, -time.Second)
	if f.known || f.Average() != 0 {
		t.Errorf("nothing was measured, and the average is %v", f.Average())
	}
	f.Observe(10, time.Second)
	if f.Average() != 100*time.Millisecond {
		t.Errorf("%v", f.Average())
	}

	for range 40 {
		f.Observe(1, time.Millisecond)
	}
	if a := f.Average(); a < time.Millisecond || a > time.Millisecond+10 {
		t.Errorf("it does not follow: %v", a)
	}
	f = known(time.Microsecond)
	f.Observe(1, time.Millisecond) // the task was preempted
	if a := f.Average(); a > 3*time.Microsecond {
		t.Errorf("one that seems to have taken long makes it %v", a)
	}

	for range 20 {
		f.Observe(1, time.Millisecond)
	}
	if a := f.Average(); a < time.Millisecond*99/100 || a > time.Millisecond {
		t.Errorf("it does not follow upwards: %v", a)
	}
	f.Observe(1, 0)
	f.Observe(math.MaxInt32, math.MaxInt64)
	if f.Average() < 0 {
		t.Errorf("%v", f.Average())
	}
}

func TestJobsTakeTurns(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	w := f.worker()
	fn := known(time.Microsecond)
	long, call, other := newJob(fn, 100_000, 10), newJob(fn, 1, 0), newJob(fn, 30, 10)
	f.Add(long)
	f.Add(call)
	f.Add(other)
	if f.Len() != 3 {
		t.Fatalf("%d jobs wait", f.Len())
	}

	var turns []*Job
	for range 7 {
		c, ok := f.Claim(w, 1000)
		if !ok {
			t.Fatal("nothing to do")
		}
		turns = append(turns, c.Job)
		f.launch(w, c)
	}

	if want := []*Job{long, call, other, long, other, long, other}; !slices.Equal(turns, want) {
		t.Errorf("the turns were not fair: %v", turns)
	}
	if f.Len() != 1 || f.Next() != long || call.Pending() != 0 {
		t.Errorf("%d jobs wait", f.Len())
	}
	f.Add(long) // adding it twice has no effect
	if f.Len() != 1 {
		t.Errorf("%d jobs wait", f.Len())
	}
}

// A job that is added while a long job is running must wait for no more than one chunk.
func TestLateJobIsNext(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Microsecond)
	long := newJob(fn, 1_000_000, 0)
	f.Add(long)
	w := f.worker()
	c, _ := f.Claim(w, 1<<15)
	f.launch(w, c)
	f.Add(newJob(fn, 1, 0))
	_, _ = f.Claim(f.worker(), 1<<15)
	if c, ok := f.Claim(f.worker(), 1<<15); !ok || c.Job == long {
		t.Error("the long job holds up the other")
	}
}

func TestUnknownTasksGoOneByOne(t *testing.T) {
	var f fixture
	f.Workers(2, 2)
	j := newJob(&Func{}, 100, 0)
	f.Add(j)
	a, b := f.worker(), f.worker()
	c, ok := f.Claim(a, 1000)
	if !ok || c.N != 1 || c.Lo != 0 {
		t.Fatalf("%+v", c)
	}

	f.launch(a, c)
	if got := f.fill(a); len(got) != 1 || got[0].N != 1 || a.Tasks() != 2 {
		t.Errorf("%+v", got)
	}
	if got := f.fill(b); b.Tasks() != 2 {
		t.Errorf("%+v", got)
	}
}

func TestDepthIsCountedInTime(t *testing.T) {
	for _, c := range []struct {
		each     time.Duration
		min, max int
	}{
		{0, maxChunk, 1 << 30}, {1, maxChunk, 1 << 30}, {time.Microsecond, 5000, 12000}, {10 * time.Microsecond, 900, 1100}, {time.Millisecond, 9, 12},
		{3 * time.Millisecond, 3, 4}, {100 * time.Millisecond, 2, 2}, {time.Hour, 2, 2}, {math.MaxInt64 / 4, 2, 2},
	} {
		var f fixture
		f.Workers(1, 0)
		j := newJob(known(c.each), 10_000_000, 0)
		f.Add(j)
		w := f.worker()
		for {
			ch, ok := f.Claim(w, 1<<15-w.Tasks())
			if !ok {
				break
			}
			if ch.N > maxChunk {
				t.Fatalf("%v: a chunk of %d", c.each, ch.N)
			}

			f.launch(w, ch)
		}
		if w.Tasks() < c.min || w.Tasks() > c.max {
			t.Errorf("%v: %d tasks are on their way", c.each, w.Tasks())
		}

		if w.Ahead() < 0 {
			t.Errorf("%v: %v ahead", c.each, w.Ahead())
		}
	}
}

// As many workers are wanted for a job as would speed it up. Fewer are wanted if there are few
// processors and the tasks are too short to wait for something.
func TestWanted(t *testing.T) {
	for _, c := range []struct {
		each                              time.Duration
		tasks, size, workers, cpus, wants int
	}{
		{0, 1000, 0, 4, 4, 1000}, // unknown
		{time.Microsecond, 1000, 0, 4, 4, 5}, {time.Microsecond, 1000, 10, 4, 4, 100}, {time.Microsecond, 10_000, 0, 200, 2, 5},
		{time.Millisecond, 1000, 0, 200, 2, 1000}, {time.Microsecond, 1000, math.MaxInt, 4, 4, 1}, {time.Microsecond, 1, 0, 200, 2, 1}, {time.Microsecond, 1000, 0, 200, 0, 5},
	} {
		s := New(c.cpus)
		s.Workers(c.workers, c.workers)
		f := &Func{}
		if c.each > 0 {
			f = known(c.each - 1) // deep adds 1 to the average
		}

		j := newJob(f, c.tasks, c.size)
		s.Add(j)
		if got := s.Wanted(j); got != c.wants {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestChunksGrow(t *testing.T) {
	var f fixture
	f.Workers(1, 0)
	fn := &Func{}
	j := newJob(fn, 1_000_000, 0)
	f.Add(j)
	w := f.worker()
	var sizes []int
	for range 4 {
		n := 0
		for _, c := range f.fill(w) {
			for i := range c.N {
				begin(w, c.Seq+uint32(i))
				finish(t, w, c.Seq+uint32(i))
			}
			n += c.N
		}

		sizes = append(sizes, n)
		fn.Observe(n, time.Duration(n)*10*time.Microsecond)
	}
	if sizes[0] != 2 || sizes[1] < 300 || sizes[3] < 900 || sizes[3] > 1100 {
		t.Errorf("%v", sizes)
	}
}

func TestChunkOption(t *testing.T) {
	for _, each := range []time.Duration{0, time.Microsecond, time.Hour} {
		for _, size := range []int{1, 7, 100, 5000} {
			var f fixture
			f.Workers(3, 1)
			fn := known(each)
			if each == 0 {
				fn = &Func{}
			}

			j := newJob(fn, 3*size+1, size)
			f.Add(j)
			w := f.worker()
			c, ok := f.Claim(w, 1<<15)
			if !ok || c.N != size {
				t.Fatalf("size %d: a chunk of %d", size, c.N)
			}
			f.launch(w, c)
			got := 1
			for {
				c, ok := f.Claim(w, 1<<15)
				if !ok {
					break
				}

				f.launch(w, c)
				if got++; c.N != size && j.Pending() > 0 {
					t.Errorf("size %d: a chunk of %d", size, c.N)
				}
			}
			if want := map[bool]int{true: 2, false: 1}[size == 1]; each == time.Hour && got != want {
				t.Errorf("size %d of slow tasks: %d chunks", size, got)
			}
			if rest, ok := f.Claim(f.worker(), 3); ok && rest.N > 3 {
				t.Errorf("%d tasks where there is room for 3", rest.N)
			}
		}
	}
}

func TestNoRoomNoChunk(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	j := newJob(known(time.Microsecond), 10, 0)
	f.Add(j)
	for _, room := range []int{0, -1, math.MinInt} {
		if c, ok := f.Claim(f.worker(), room); ok {
			t.Errorf("%d tasks for room %d", c.N, room)
		}
	}
	if j.Pending() != 10 || f.Len() != 1 || f.Next() != j {
		t.Error("a refused claim changed something")
	}
}

// Other workers must get a fair share, and idle workers must come before workers that have work.
func TestShares(t *testing.T) {
	var f fixture
	f.Workers(4, 4)
	j := newJob(known(100*time.Microsecond), 80, 0)
	f.Add(j)
	if c, _ := f.Claim(f.worker(), 1000); c.N > 80/4 {
		t.Errorf("one of four took %d of 80", c.N)
	}

	slow := newJob(known(time.Second), 4, 0)
	var g fixture
	g.Workers(4, 4)
	g.Add(slow)
	busy := g.worker()
	c, _ := g.Claim(busy, 10)
	g.launch(busy, c)
	if c.N != 1 {
		t.Errorf("%d of 4 slow tasks for one of four", c.N)
	}

	g.Workers(4, 3)
	if c, ok := g.Claim(busy, 10); ok {
		t.Errorf("the busy one got %d tasks that the idle wait for", c.N)
	}
	g.Workers(4, 0)
	if _, ok := g.Claim(busy, 10); !ok {
		t.Error("nobody is idle, and the busy one gets nothing")
	}
}

func TestDoneChecksTheOrder(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Microsecond)
	j := newJob(fn, 5, 0)
	w := f.worker()
	if _, err := w.Done(0, 1); err == nil {
		t.Error("a result without a task")
	}

	f.next = map[*Worker]uint32{w: math.MaxUint32 - 1} // the numbers wrap around
	f.launch(w, j.Take())
	for _, bad := range []uint32{0, math.MaxUint32, math.MaxUint32 - 2, 5} {
		if _, err := w.Done(bad, 1); err == nil {
			t.Errorf("a result of task %d", bad)
		}
	}
	if w.Tasks() != 5 || w.Ahead() != 5*fn.Average() {
		t.Errorf("%d tasks, %v ahead", w.Tasks(), w.Ahead())
	}

	seq := uint32(math.MaxUint32 - 1)
	for i := range 5 {
		done, err := w.Done(seq, 1)
		got, k := done.Job, done.Lo
		if err != nil || got != j || k != i {
			t.Fatalf("%d: %v %d %v", i, got, k, err)
		}
		if _, err := w.Done(seq, 1); err == nil {
			t.Error("the same result twice")
		}
		seq++
	}
	if w.Tasks() != 0 || w.Ahead() != 0 {
		t.Errorf("%d tasks, %v ahead", w.Tasks(), w.Ahead())
	}
}

// The time ahead must use the estimate that was made when a chunk was sent. Otherwise, the time
// ahead would not return to zero.
func TestAheadEndsAtZero(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Millisecond)
	j := newJob(fn, 6, 2)
	f.Add(j)
	w := f.worker()
	seq := uint32(0)
	for range 3 {
		c, ok := f.Claim(w, 10)
		if !ok {
			break
		}

		f.launch(w, c)
		fn.Observe(1, time.Minute)
		for range c.N {
			finish(t, w, seq)
			seq++
		}
	}
	if w.Ahead() != 0 || w.Tasks() != 0 {
		t.Errorf("%v, %d", w.Ahead(), w.Tasks())
	}
}

type dropped map[int]int // how often each element was dropped

func (d dropped) addOf(_ *Job, lo, n int) { d.add(lo, n) }

func (d dropped) add(lo, n int) {
	for i := lo; i < lo+n; i++ {
		d[i]++
	}
}

func (d dropped) exactly(t *testing.T, lo, hi int) {
	t.Helper()
	for i := lo; i < hi; i++ {
		if d[i] != 1 {
			t.Errorf("element %d was dropped %d times", i, d[i])
		}
	}
	if len(d) != hi-lo {
		t.Errorf("%d elements dropped, not %d: %v", len(d), hi-lo, d)
	}
}

func TestDropAndClear(t *testing.T) {
	var f fixture
	fn := known(time.Microsecond)
	a, b, c := newJob(fn, 10, 0), newJob(fn, 20, 0), newJob(fn, 30, 0)
	f.Add(a)
	f.Add(b)
	f.Add(c)
	d := dropped{}
	f.Drop(a, d.add)
	d.exactly(t, 0, 10)
	f.Drop(a, func(lo, n int) { t.Errorf("%d elements dropped twice", n) })
	if f.Len() != 2 || f.Next() != b || a.Pending() != 0 || !a.Cancel {
		t.Errorf("%d jobs wait", f.Len())
	}

	f.Add(a)
	if f.Len() != 2 {
		t.Error("a cancelled job was added")
	}
	f.Workers(1, 1)
	w := f.worker()
	ch, _ := f.Claim(w, 5)
	f.launch(w, ch)
	cleared := map[*Job]dropped{b: {}, c: {}}
	f.Clear(func(j *Job, lo, n int) { cleared[j].add(lo, n) })
	cleared[b].exactly(t, ch.N, 20)
	cleared[c].exactly(t, 0, 30)
	if f.Len() != 0 || f.Next() != nil {
		t.Errorf("%d jobs wait", f.Len())
	}
	if _, ok := f.Claim(w, 10); ok {
		t.Error("a cleared queue has work")
	}

	f.Clear(func(*Job, int, int) { t.Error("cleared twice") })
	again := newJob(fn, 1, 0)
	f.Add(again)
	if f.Len() != 1 || f.Next() != again {
		t.Error("unusable after Clear")
	}

	never := newJob(fn, 3, 0)
	d = dropped{}
	f.Drop(never, d.add)
	d.exactly(t, 0, 3)
	if f.Len() != 1 {
		t.Errorf("dropping a job that was never added: %d wait", f.Len())
	}
}

func TestReturn(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Microsecond)
	j, k := newJob(fn, 10, 4), newJob(fn, 2, 0)
	f.Add(j)
	f.Add(k)
	w := f.worker()
	one, _ := f.Claim(w, 4) // elements 0 to 3; then k is next
	f.Return(Chunk{Job: one.Job, Lo: one.Lo + 2, N: 2}, nil)
	if f.Len() != 2 || j.Pending() != 8 {
		t.Errorf("%d wait, %d pending", f.Len(), j.Pending())
	}

	f.Return(Chunk{Job: j, Lo: 0, N: 0}, nil)
	var got []int
	for {
		c, ok := f.Claim(f.worker(), 3)
		if !ok {
			break
		}
		if c.Job == j {
			for i := range c.N {
				got = append(got, c.Lo+i)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("%v", got)
	}

	// If elements of a job are returned after the job has left the queue, the job goes first.
	f.Add(newJob(fn, 5, 0))
	f.Return(Chunk{Job: k, Lo: 0, N: 2}, nil)
	if f.Next() != k || k.Pending() != 2 || f.Len() != 2 {
		t.Errorf("%d wait", f.Len())
	}
}

func TestDead(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Microsecond)
	j, gone := newJob(fn, 6, 0), newJob(fn, 4, 0)
	w := f.worker()
	f.launch(w, j.Take())
	f.launch(w, gone.Take())
	begin(w, 0, 1, 2)
	finish(t, w, 0, 1)
	gone.Cancel = true
	var lost []int
	d := dropped{}
	f.Dead(w, func(got *Job, i int) {
		if got != j {
			t.Error("the wrong job")
		}
		lost = append(lost, i)
	}, func(got *Job, lo, n int) {
		if got != gone {
			t.Error("the wrong job")
		}
		d.add(lo, n)
	})
	if !slices.Equal(lost, []int{2}) {
		t.Errorf("lost %v", lost)
	}

	d.exactly(t, 0, 4)
	if j.Pending() != 3 || f.Len() != 1 || w.Tasks() != 0 || w.Ahead() != 0 {
		t.Errorf("%d pending, %d wait, %d tasks, %v", j.Pending(), f.Len(), w.Tasks(), w.Ahead())
	}
	if c, ok := f.Claim(f.worker(), 10); !ok || c.Lo != 3 {
		t.Errorf("%+v", c)
	}

	f.Dead(w, func(*Job, int) { t.Error("dead twice") }, nil)
	if _, err := w.Done(2, 1); err == nil {
		t.Error("a dead worker's result")
	}
}

func TestCancelRequeuesWhatIsBehind(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Microsecond)
	before, j, behind := newJob(fn, 3, 0), newJob(fn, 10, 0), newJob(fn, 4, 0)
	w := f.worker()
	f.launch(w, before.Take()) // 0..2
	f.launch(w, j.Take())      // 3..12
	f.launch(w, behind.Take()) // 13..16
	begin(w, 0)
	d := dropped{}
	f.Drop(j, d.add)
	if seq, any := f.Cancel(w, j, d.addOf); any {
		t.Errorf("task %d is said to run", seq)
	}

	d.exactly(t, 0, 10)
	if behind.Pending() != 4 || f.Len() != 1 || f.Next() != behind || w.Tasks() != 3 || w.Ahead() != 3*fn.Average() {
		t.Errorf("%d pending, %d wait, %d tasks", behind.Pending(), f.Len(), w.Tasks())
	}
	finish(t, w, 0, 1, 2)
	// No task of the job is left.
	if _, any := f.Cancel(w, j, func(*Job, int, int) { t.Error("dropped twice") }); any {
		t.Error("it is still there")
	}
}

func TestCancelReportsWhatRuns(t *testing.T) {
	var f fixture
	f.Workers(1, 1)
	fn := known(time.Microsecond)
	j := newJob(fn, 5, 0)
	w := f.worker()
	f.launch(w, j.Take())
	begin(w, 0)
	d := dropped{}
	f.Drop(j, d.add)
	seq, any := f.Cancel(w, j, d.addOf)
	if !any || seq != 0 {
		t.Errorf("%d, %v", seq, any)
	}

	d.exactly(t, 1, 5)
	if c, begun := w.Running(); !begun || c.Seq != 0 || c.Job != j || c.N != 1 {
		t.Errorf("%+v %v", c, begun)
	}
	finish(t, w, 0)
	if _, begun := w.Running(); begun {
		t.Error("a worker without tasks runs one")
	}
}

func TestSteal(t *testing.T) {
	var f fixture
	f.Workers(2, 1)
	fn := known(time.Millisecond)
	for n := range 12 {
		j := newJob(fn, n, 0)
		rich, poor := f.worker(), f.worker()
		if n > 0 {
			f.launch(rich, j.Take())
			begin(rich, 0)
		}

		took, left := f.Steal([]*Worker{poor, rich}, true, nil)
		if want := n >= 2; took != want || left != want {
			t.Errorf("of %d tasks: took %v, left %v", n, took, left)
		}
		if want := n / 2; j.Pending() != want || rich.Tasks() != n-want {
			t.Errorf("of %d tasks %d came back, %d stay", n, j.Pending(), rich.Tasks())
		}
		f.Clear(func(*Job, int, int) {})
	}
}

func TestStealTakesFromTheRichest(t *testing.T) {
	var f fixture
	few, many := newJob(known(100*time.Millisecond), 2, 0), newJob(known(time.Millisecond), 30, 0)
	a, b := f.worker(), f.worker()
	f.launch(a, few.Take())
	f.launch(b, many.Take())
	if took, _ := f.Steal([]*Worker{b, a}, true, nil); !took || few.Pending() != 1 || many.Pending() != 0 {
		t.Errorf("took %v: %d and %d came back", took, few.Pending(), many.Pending())
	}
}

// A little work must be left to the worker that has it, unless patient is false.
func TestStealIsPatient(t *testing.T) {
	var f fixture
	j := newJob(known(time.Microsecond), 20, 0)
	w := f.worker()
	f.launch(w, j.Take())
	if took, left := f.Steal([]*Worker{w}, true, nil); took || !left {
		t.Errorf("took %v, left %v", took, left)
	}
	if took, left := f.Steal([]*Worker{w}, false, nil); !took || !left || j.Pending() != 10 {
		t.Errorf("took %v, left %v, %d came back", took, left, j.Pending())
	}
	if took, left := f.Steal(nil, false, nil); took || left {
		t.Error("stolen from nobody")
	}

	// If all tasks have started, there is nothing to take.
	all := f.worker()
	k := newJob(known(time.Second), 3, 0)
	f.launch(all, k.Take())
	begin(all, 0, 1, 2)
	if took, left := f.Steal([]*Worker{all}, false, nil); took || !left || k.Pending() != 0 {
		t.Errorf("took %v, left %v, %d came back", took, left, k.Pending())
	}
}

// Half of the work may extend across several chunks of several jobs.
func TestStealAcrossChunks(t *testing.T) {
	var f fixture
	fn := known(time.Millisecond)
	w := f.worker()
	var jobs []*Job
	for range 5 {
		j := newJob(fn, 2, 0)
		jobs = append(jobs, j)
		f.launch(w, j.Take())
	}
	begin(w, 0)
	if took, _ := f.Steal([]*Worker{w}, true, nil); !took || w.Tasks() != 5 {
		t.Fatalf("%v, %d stay", took, w.Tasks())
	}

	for i, want := range []int{0, 0, 1, 2, 2} {
		if jobs[i].Pending() != want {
			t.Errorf("job %d: %d came back", i, jobs[i].Pending())
		}
	}
	if f.Len() != 3 || f.Next() != jobs[2] {
		t.Errorf("%d wait, and the first is not the first", f.Len())
	}
}

func newJob(f *Func, n, size int) *Job {
	j := new(Job)
	j.Init(f, n, size)
	return j
}
