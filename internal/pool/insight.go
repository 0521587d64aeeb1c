//go:build linux

package pool

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
	maxSlow = 10 // slow tasks in Stats
	maxEnds = 10 // ends of workers in Stats
	// slowTask is the minimum duration of a task in Stats.Slowest. Workers time such tasks one by
	// one.
	slowTask = 10 * time.Millisecond
)

// findLong checks whether the worker's latest slow task is among n tasks whose results have
// arrived. Only the pump calls it.
func (w *worker) findLong(j *job, lo int, seq uint32, n int) {
	slow, took := w.link.Slow()
	if took == 0 || slow == w.longSeq || slow-seq >= uint32(n) {
		return
	}
	took = min(took, time.Since(w.usage.serving)) // the worker's claim may be false
	w.longSeq, w.long, w.longTook = slow, run{j, lo + int(slow-seq), 1}, took
}

// noteSlow records a slow task if it is one of the slowest.
func (p *Pool) noteSlow(j *job, i int, s Slow) {
	if s.Took < slowTask || !p.isSlow(s.Took) {
		return
	}

	s.Func, s.Task = j.fn, j.id+uint64(i)
	if !p.cfg.Secret {
		s.Arg = describe(j.batch, i)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	at, _ := slices.BinarySearchFunc(p.slow, s, func(a, b Slow) int { return cmp.Compare(b.Took, a.Took) })
	p.slow = slices.Insert(p.slow, at, s)
	p.slow = p.slow[:min(len(p.slow), maxSlow)]
}

func (p *Pool) isSlow(took time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slow) < maxSlow || took > p.slow[len(p.slow)-1].Took
}

func describe(b Batch, i int) string {
	if d, ok := b.(Describer); ok {
		return d.Describe(i)
	}
	return ""
}

// noteEnd records how a worker ended. The caller must hold p.mu.
func (p *Pool) noteEnd(w *worker, why string) {
	now := time.Now()
	p.ends = append(p.ends, End{Worker: w.number(), PID: w.proc.PID, When: now, Served: now.Sub(w.usage.serving), Done: w.finished, Why: why})
	if n := len(p.ends) - maxEnds; n > 0 {
		p.ends = slices.Delete(p.ends, 0, n)
	}
}

// whyDied describes a worker's unexpected end. It may call the Error method of a cause that comes
// from the user, so the caller must not hold the pool's lock.
func whyDied(d Death) string {
	if d.Cause != nil {
		return fmt.Sprintf("killed: %v", d.Cause)
	}
	return fmt.Sprintf("ended with %v", d.Status)
}

// info returns everything that is known about a worker except its memory. The caller must hold the
// pool's lock.
func (w *worker) info(now time.Time) Info {
	u := w.usage
	info := Info{
		Worker: w.number(), Name: w.name, PID: w.proc.PID, Busy: w.work.Tasks() > 0, Started: w.started,
		Done: w.finished, Before: w.before, Starting: u.serving.Sub(w.started), Waiting: u.waited,
	}

	info.Working, _ = w.link.Busy()
	if ch, begun := w.work.Running(); begun {
		j := ch.Job.Data.(*job)
		info.Running, info.Func, info.Task, info.Begun = true, j.fn, j.id+uint64(ch.Lo), u.news
		info.Working += now.Sub(u.news)
	}

	if !u.free.IsZero() {
		info.Waiting += now.Sub(u.free)
	}

	served := now.Sub(u.serving)
	info.Working = max(min(info.Working, served-info.Waiting), 0) // the worker's claim may be false
	info.Talking = served - info.Waiting - info.Working
	return info
}

// Workers describes the workers in service.
func (p *Pool) Workers() []Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, _ := p.infos()
	return all
}

// infos describes the workers in service and returns their IDs in /proc. The caller must hold p.mu.
func (p *Pool) infos() (all []Info, procs []int) {
	now := time.Now()
	for _, w := range p.workers {
		if w.inService() {
			all, procs = append(all, w.info(now)), append(procs, w.proc.InProc)
		}
	}
	return all, procs
}

// Stats returns the state of the pool. It reads files in /proc for the workers' memory.
func (p *Pool) Stats() Stats {
	s, procs := p.stats()
	for i, w := range procs {
		s.Workers[i].RSS, s.Workers[i].Peak = residence(w)
	}
	return s
}

// stats returns the Stats without the workers' memory, and the workers' IDs in /proc.
func (p *Pool) stats() (s Stats, procs []int) {
	p.mu.Lock()
	defer p.mu.Unlock()

	s = p.counts
	s.Slots, s.Spares, s.Queued = p.want, len(p.spares), p.sched.Len()
	s.Workers, procs = p.infos()
	s.Serving = len(s.Workers)
	for _, w := range s.Workers {
		if w.Busy {
			s.Busy++
		}
	}

	for name, f := range p.funcs {
		s.Funcs = append(s.Funcs, FuncInfo{name, f.Done(), f.Average(), f.Chunk()})
	}
	slices.SortFunc(s.Funcs, func(a, b FuncInfo) int { return cmp.Compare(a.Func, b.Func) })

	s.Slowest, s.Ends, s.Failing = slices.Clone(p.slow), slices.Clone(p.ends), p.failing()
	return s, procs
}

// failing lists the slots that cannot be filled at present. The caller must hold p.mu.
func (p *Pool) failing() (all []Failing) {
	add := func(n int, t trouble) {
		if t.failed > 0 {
			all = append(all, Failing{n, t.failed, t.since, p.cfg.Death(t.why)})
		}
	}
	add(0, p.unspared)
	for i, s := range p.slots {
		add(i+1, s.trouble)
	}
	return all
}

// residence returns how many bytes of memory a process has now, and the most that it has had so
// far. A result that is unknown is 0.
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
