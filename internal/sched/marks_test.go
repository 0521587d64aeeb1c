package sched

import "testing"

// fickle holds the marks of a worker that changes them while they are read.
type fickle struct {
	t     *testing.T
	asked int
}

func (f *fickle) Void(_, hi uint32) uint32 { return hi }

func (f *fickle) Begun(uint32) bool {
	if f.asked++; f.asked > 100 {
		f.t.Fatal("Running reads marks without end")
	}
	return f.asked == 1
}

// The worker can write to its marks, so a mark that was set may be clear at the next reading.
func TestRunningWithFickleMarks(t *testing.T) {
	w := Worker{Marks: &fickle{t: t}}
	w.Launch(Chunk{Job: &Job{Func: &Func{}}, N: 3, Seq: 1})
	if c, ok := w.Running(); ok && (c.Lo < 0 || c.Lo > 2 || c.N != 1) {
		t.Errorf("got %+v", c)
	}
}

// unbegun holds the marks of a worker that has not started any task.
type unbegun struct{}

func (unbegun) Void(lo, _ uint32) uint32 { return lo }
func (unbegun) Begun(uint32) bool        { return false }

// Clear cancels a job while a part of it is in transit. However that part is taken back later, each
// element must end up in exactly one way: dropped, lost or in the queue.
func TestTakenBackAfterClear(t *testing.T) {
	for name, take := range map[string]func(*Scheduler, *Worker, *Job, func(j *Job, lo, n int)){
		"by a cancel": func(s *Scheduler, w *Worker, first *Job, drop func(j *Job, lo, n int)) {
			s.Cancel(w, first, drop)
		},
		"by a thief": func(s *Scheduler, w *Worker, _ *Job, drop func(j *Job, lo, n int)) {
			s.Steal([]*Worker{w}, false, drop)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s Scheduler
			w := Worker{Marks: unbegun{}}
			first, second := &Job{Size: 2}, &Job{Size: 2}
			first.Init(&Func{}, 2, 2)
			second.Init(&Func{}, 4, 2)
			s.Add(first)
			s.Add(second)
			for seq := uint32(1); seq < 5; seq += 2 {
				j := s.Next()
				r := j.take(2)
				s.pop()
				s.live--
				s.Add(j)
				w.Launch(Chunk{Job: j, Lo: r.lo, N: r.n, Seq: seq})
			}

			total := 0
			drop := func(_ *Job, _, n int) { total += n }
			s.Clear(drop)
			take(&s, &w, first, drop)
			s.Dead(&w, func(*Job, int) { total++ }, drop)
			s.Clear(drop)
			if total != 6 {
				t.Errorf("%d of 6 elements are accounted for", total)
			}
		})
	}
}
