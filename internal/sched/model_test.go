package sched

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// model runs workers, jobs and accidents at random against the scheduler, and counts what happens
// to every element.
type model struct {
	t       *testing.T
	r       *rand.Rand
	s       Scheduler
	funcs   []*Func
	jobs    []*Job
	state   map[*Job][]fate
	workers []*player
	held    []Chunk // claimed but not launched
}

type fate struct{ runs, done, lost, drops int }

type task struct {
	j *Job
	i int
}

type player struct {
	Worker
	marks    *fakeMarks
	tasks    map[uint32]task
	next     uint32 // the next task to start
	end      uint32 // the next task to launch
	running  bool
	finished []uint32 // not collected
}

func (m *model) newPlayer() *player {
	p := &player{marks: newMarks(), tasks: map[uint32]task{}, next: math.MaxUint32 - uint32(m.r.IntN(100))}
	p.end, p.Marks = p.next, p.marks
	return p
}

func (m *model) addJob() {
	n, size := m.r.IntN(60)+1, 0
	if m.r.IntN(3) == 0 {
		size = m.r.IntN(8) + 1
	}
	j := newJob(m.funcs[m.r.IntN(len(m.funcs))], n, size)
	m.jobs = append(m.jobs, j)
	m.state[j] = make([]fate, n)
	m.s.Add(j)
}

func (m *model) claim(p *player) {
	idle := 0
	for _, q := range m.workers {
		if q.Tasks() == 0 {
			idle++
		}
	}

	m.s.Workers(len(m.workers), idle)
	room := m.r.IntN(40)
	c, ok := m.s.Claim(&p.Worker, room)
	if !ok {
		return
	}
	if c.N <= 0 || c.N > room || c.Job.Cancel {
		m.t.Fatalf("claimed %+v with room %d", c, room)
	}

	switch m.r.IntN(10) {
	case 0:
		m.held = append(m.held, c)
	case 1: // a part is sent, the rest is returned
		k := m.r.IntN(c.N + 1)
		m.s.Return(Chunk{Job: c.Job, Lo: c.Lo + k, N: c.N - k}, m.drop)
		c.N = k
		m.launch(p, c)
	default:
		m.launch(p, c)
	}
}

func (m *model) launch(p *player, c Chunk) {
	if c.N == 0 {
		return
	}
	c.Seq, c.Weight = p.end, m.r.IntN(3)
	for i := range c.N {
		p.tasks[p.end] = task{c.Job, c.Lo + i}
		p.end++
	}
	p.Launch(c)
}

// settleHeld launches or returns the chunks that were claimed earlier, as a pool does.
func (m *model) settleHeld() {
	for _, c := range m.held {
		switch {
		case c.Job.Cancel || m.r.IntN(2) == 0:
			m.s.Return(c, m.drop)
		default:
			m.launch(m.workers[m.r.IntN(len(m.workers))], c)
		}
	}
	m.held = nil
}

func (m *model) begin(p *player) {
	for !p.running && p.next != p.end {
		seq := p.next
		p.next++
		if p.marks.void[seq] {
			continue
		}
		p.marks.begun[seq] = true
		p.running = true
		k := p.tasks[seq]
		f := &m.state[k.j][k.i]
		if f.runs++; f.runs > 1 {
			m.t.Fatalf("element %d was begun %d times", k.i, f.runs)
		}
	}
}

func (m *model) finish(p *player) {
	if p.running {
		p.running = false
		p.finished = append(p.finished, p.next-1)
	}
}

func (m *model) collect(p *player) {
	for _, seq := range p.finished {
		c, err := p.Done(seq, 1)
		j, i := c.Job, c.Lo
		if err != nil || (task{j, i}) != p.tasks[seq] {
			m.t.Fatalf("task %d: element %d, %v", seq, i, err)
		}
		m.state[j][i].done++
	}
	p.finished = nil
}

func (m *model) drop(j *Job, lo, n int) {
	for i := lo; i < lo+n; i++ {
		m.state[j][i].drops++
	}
}

func (m *model) cancel(j *Job) {
	if j.Cancel {
		return
	}
	m.s.Drop(j, func(lo, n int) { m.drop(j, lo, n) })
	for _, p := range m.workers {
		seq, any := m.s.Cancel(&p.Worker, j, m.drop)
		runs := p.running && p.tasks[p.next-1].j == j
		if any && !p.marks.begun[seq] {
			m.t.Fatalf("task %d is said to have begun", seq)
		}
		if runs && !any {
			m.t.Fatal("a running task was not reported")
		}
	}
}

func (m *model) die(i int) {
	p := m.workers[i]
	m.collect(p)
	lost := 0
	m.s.Dead(&p.Worker, func(j *Job, i int) {
		lost++
		m.state[j][i].lost++
	}, m.drop)
	if want := map[bool]int{true: 1}[p.running]; lost != want {
		m.t.Fatalf("%d tasks lost, not %d", lost, want)
	}
	m.workers[i] = m.newPlayer()
}

func (m *model) steal() {
	var ws []*Worker
	before := 0
	for _, p := range m.workers {
		ws = append(ws, &p.Worker)
		before += p.Tasks()
	}
	took, _ := m.s.Steal(ws, m.r.IntN(2) == 0, m.drop)
	after := 0
	for _, p := range m.workers {
		after += p.Tasks()
	}
	if took != (after < before) {
		m.t.Fatalf("took %v: %d tasks, then %d", took, before, after)
	}
}

// check compares the scheduler's counts with a recount.
func (m *model) check() {
	waiting := 0
	for _, j := range m.jobs {
		if j.pending < 0 {
			m.t.Fatal("pending is negative")
		}
		sum := 0
		for _, r := range j.ranges {
			sum += r.n
		}

		if sum != j.pending {
			m.t.Fatalf("%d pending, %d in ranges", j.pending, sum)
		}
		if j.pending > 0 {
			waiting++
		}
	}
	if m.s.Len() != waiting {
		m.t.Fatalf("Len is %d, and %d jobs wait", m.s.Len(), waiting)
	}

	for _, p := range m.workers {
		n, ahead, heavy := 0, time.Duration(0), 0
		for i := range p.flight.len() {
			c := p.flight.at(i)
			n += c.N
			ahead += time.Duration(c.N) * c.each
			heavy += c.Weight
			if c.N <= 0 {
				m.t.Fatalf("an empty chunk in flight")
			}
		}
		if n != p.Tasks() || ahead != p.Ahead() || heavy != p.Heavy() {
			m.t.Fatalf("%d tasks, %v ahead, weight %d; recounted %d, %v, %d", p.Tasks(), p.Ahead(), p.Heavy(), n, ahead, heavy)
		}
	}
}

func (m *model) step() {
	p := m.workers[m.r.IntN(len(m.workers))]
	switch m.r.IntN(24) {
	case 0, 1:
		if len(m.jobs) < 200 {
			m.addJob()
		}
	case 2:
		if m.r.IntN(4) == 0 {
			m.die(m.r.IntN(len(m.workers)))
		}
		if m.r.IntN(60) == 0 {
			m.s.Clear(m.drop)
		}
		if task, begun := p.Running(); begun {
			m.s.Behind(&p.Worker, task.Seq, m.drop)
			if p.Tasks() > 1 && p.marks.begun[task.Seq] && p.next-1 == task.Seq {
				m.collect(p)
				if p.Tasks() > 1 {
					m.t.Fatalf("%d tasks behind the one that runs", p.Tasks())
				}
			}
		}
	case 3:
		if m.r.IntN(3) == 0 && len(m.jobs) > 0 {
			m.cancel(m.jobs[m.r.IntN(len(m.jobs))])
		}
	case 4:
		m.steal()
	case 5:
		m.funcs[m.r.IntN(len(m.funcs))].Observe(m.r.IntN(5), time.Duration(m.r.IntN(1<<uint(m.r.IntN(30)))))
	case 6:
		m.settleHeld()
	case 7, 8, 9, 10, 11:
		m.claim(p)
	case 12, 13, 14, 15, 16:
		m.begin(p)
	case 17, 18, 19, 20:
		m.finish(p)
	default:
		m.collect(p)
	}

	m.check()
}

// drain runs the model until all jobs have ended.
func (m *model) drain() {
	m.settleHeld()
	for range 1_000_000 {
		busy := m.s.Next() != nil
		for _, p := range m.workers {
			m.claim(p)
			m.settleHeld()
			m.begin(p)
			m.finish(p)
			m.collect(p)
			busy = busy || p.Tasks() > 0
		}
		if !busy && m.s.Next() == nil && len(m.held) == 0 {
			return
		}
	}

	m.t.Fatal("it does not end")
}

func TestEveryElementOnce(t *testing.T) {
	for seed := range uint64(80) {
		m := &model{t: t, r: rand.New(rand.NewPCG(seed, 1)), funcs: []*Func{{}, {}, known(time.Millisecond)}, state: map[*Job][]fate{}}
		for range 1 + seed%5 {
			m.workers = append(m.workers, m.newPlayer())
		}

		for range 1500 {
			m.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}

		m.drain()
		ends := map[string]int{}
		for k, j := range m.jobs {
			for i, f := range m.state[j] {
				if f.done+f.lost+f.drops != 1 || f.runs != f.done+f.lost || f.drops > 0 && !j.Cancel {
					t.Fatalf("seed %d, job %d (cancelled %v), element %d: %+v", seed, k, j.Cancel, i, f)
				}
				ends["done"] += f.done
				ends["lost"] += f.lost
				ends["dropped"] += f.drops
			}
		}
		if m.s.Len() != 0 {
			t.Fatalf("seed %d: %d jobs wait at the end", seed, m.s.Len())
		}
		if seed == 4 && (ends["done"] < 100 || ends["lost"] == 0 || ends["dropped"] == 0) {
			t.Fatalf("the model does not exercise all: %v", ends)
		}
	}
}
