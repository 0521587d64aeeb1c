//go:build linux

package crew

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	mostSlow = 10 // slow tasks in Stats
	mostEnds = 10 // ends of workers in Stats
	// slowTask is the least duration of a task in Stats.Slowest. Workers time such tasks one by
	// one.
	slowTask = 10 * time.Millisecond
)

// findLong checks whether a slow task is among n tasks whose results have come. Only the pump calls
// it.
func (m *member) findLong(j *job, lo int, seq uint32, n int) {
	slow, took := m.link.Slow()
	if took == 0 || slow == m.longSeq || slow-seq >= uint32(n) {
		return
	}
	took = min(took, time.Since(m.usage.serving)) // the worker's claim may be false
	m.longSeq, m.long, m.longTook = slow, run{j, lo + int(slow-seq), 1}, took
}

// noteSlow records a slow task if it is one of the slowest.
func (c *Crew) noteSlow(j *job, i int, s Slow) {
	if s.Took < slowTask || !c.isSlow(s.Took) {
		return
	}

	s.Func, s.Task = j.fn, j.id+uint64(i)
	if !c.cfg.Secret {
		s.Arg = describe(j.batch, i)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	at, _ := slices.BinarySearchFunc(c.slow, s, func(a, b Slow) int { return cmp.Compare(b.Took, a.Took) })
	c.slow = slices.Insert(c.slow, at, s)
	c.slow = c.slow[:min(len(c.slow), mostSlow)]
}

func (c *Crew) isSlow(took time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.slow) < mostSlow || took > c.slow[len(c.slow)-1].Took
}

func describe(b Batch, i int) string {
	if d, ok := b.(Describer); ok {
		return d.Describe(i)
	}
	return ""
}

// noteEnd records how a worker ended. The caller must hold c.mu.
func (c *Crew) noteEnd(m *member, why string) {
	now := time.Now()
	c.ends = append(c.ends, End{Worker: m.number(), PID: m.proc.PID, When: now, Served: now.Sub(m.usage.serving), Done: m.finished, Why: why})
	if n := len(c.ends) - mostEnds; n > 0 {
		c.ends = slices.Delete(c.ends, 0, n)
	}
}

// whyDied says how a worker ended unexpectedly.
func whyDied(d Death) string {
	if d.Cause != nil {
		return fmt.Sprintf("killed: %v", d.Cause)
	}
	return fmt.Sprintf("ended with %v", d.Status)
}

// info returns what is known about a worker, except its memory. The caller must hold the pool's
// lock.
func (m *member) info(now time.Time) Info {
	u := m.usage
	w := Info{
		Worker: m.number(), Name: m.name, PID: m.proc.PID, Busy: m.work.Tasks() > 0, Started: m.started,
		Done: m.finished, Before: m.before, Starting: u.serving.Sub(m.started), Waiting: u.waited,
	}

	w.Working, _ = m.link.Busy()
	if ch, begun := m.work.Running(); begun {
		j := ch.Job.Data.(*job)
		w.Running, w.Func, w.Task, w.Begun = true, j.fn, j.id+uint64(ch.Lo), u.news
		w.Working += now.Sub(u.news)
	}

	if !u.free.IsZero() {
		w.Waiting += now.Sub(u.free)
	}

	served := now.Sub(u.serving)
	w.Working = max(min(w.Working, served-w.Waiting), 0) // the worker's claim may be false
	w.Talking = served - w.Waiting - w.Working
	return w
}

// Workers describes the workers in service.
func (c *Crew) Workers() []Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, _ := c.infos()
	return all
}

// infos describes the workers in service and returns their IDs in /proc. The caller must hold c.mu.
func (c *Crew) infos() (all []Info, procs []int) {
	now := time.Now()
	for _, m := range c.members {
		if m.inService() {
			all, procs = append(all, m.info(now)), append(procs, m.proc.InProc)
		}
	}
	return all, procs
}

// Stats returns the state of the pool. It reads files in /proc for the workers' memory.
func (c *Crew) Stats() Stats {
	s, procs := c.stats()
	for i, w := range procs {
		s.Workers[i].RSS, s.Workers[i].Peak = residence(w)
	}
	return s
}

// stats returns the Stats without the workers' memory, and the workers' IDs in /proc.
func (c *Crew) stats() (s Stats, procs []int) {
	c.mu.Lock()
	defer c.mu.Unlock()

	s = c.counts
	s.Places, s.Spares, s.Queued = c.want, len(c.spares), c.sched.Len()
	s.Workers, procs = c.infos()
	s.Serving = len(s.Workers)
	for _, w := range s.Workers {
		if w.Busy {
			s.Busy++
		}
	}

	for name, f := range c.funcs {
		s.Funcs = append(s.Funcs, FuncInfo{name, f.Done(), f.Average(), f.Chunk()})
	}
	slices.SortFunc(s.Funcs, func(a, b FuncInfo) int { return cmp.Compare(a.Func, b.Func) })

	s.Slowest, s.Ends, s.Failing = slices.Clone(c.slow), slices.Clone(c.ends), c.failing()
	return s, procs
}

// failing lists the slots that cannot be filled at present. The caller must hold c.mu.
func (c *Crew) failing() (all []Failing) {
	add := func(n int, t trouble) {
		if t.failed > 0 {
			all = append(all, Failing{n, t.failed, t.since, c.cfg.Death(t.why)})
		}
	}
	add(0, c.unspared)
	for i, p := range c.places {
		add(i+1, p.trouble)
	}
	return all
}

// residence returns how many bytes of memory a process has now, and the most that it had so far. It
// returns 0 for what is unknown.
func residence(inProc int) (now, most int64) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", inProc))
	if err != nil {
		return 0, 0
	}
	defer f.Close()

	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "VmHWM":
			most = kibibytes(value)
		case "VmRSS":
			now = kibibytes(value)
		}
	}

	return now, most
}

func kibibytes(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(s, "kB")), 10, 64)
	return n << 10
}
