//go:build linux

package crew

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/sched"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// Without a control group, nothing in the kernel bounds the memory of one process exactly.
// RLIMIT_DATA refuses each mapping that would exceed it, with one exception: a mapping over a range
// reserved earlier, which is how the Go runtime maps large spans, succeeds, and only the next
// mapping fails. RLIMIT_AS would refuse the reservation, but it counts memory that must not count:
// objects that other processes share with the worker, files that a task maps, the 64 MiB of
// addresses that each thread's malloc reserves, the stacks of threads, and the race detector's
// terabytes. Raising it around each of mp's own mappings would not cover the user's mappings. So mp
// also samples the memory of workers while they start or run tasks.

const (
	// The interval between samples is sampleEvery, or sampleEach times the number of sampled
	// workers if that is longer. It depends on a count and not on a measured duration, which would
	// grow with everything that delays this process.
	sampleEvery = 10 * time.Millisecond
	sampleEach  = time.Millisecond
	// stackOf is the size of the first thread's stack. statm counts it as data, but RLIMIT_DATA
	// does not.
	stackOf = 8 << 20
	// vague is the largest error of statm's resident memory. The kernel counts it per processor.
	vague = 64 << 20
)

// A sampler samples the memory of workers. The pool's lock guards its fields, except busy while
// looking is true.
type sampler struct {
	timer   *time.Timer
	armed   bool // the timer is running, or a sample is being taken
	again   bool // work has arrived since the sample began
	looking bool // a sample is being taken, without the lock
	all     []*sampled
	busy    []*sampled // the workers in this sample
	ended   []*sampled // workers that ended while looking was set
}

// sampled is a worker that is sampled.
type sampled struct {
	m     *member
	statm int
	data  int64 // its limit of data, once known
	much  bool  // at the last sample, it had mapped most of the memory that it may map
}

// watchMemory registers a worker with the sampler, which samples it whenever it is starting or has
// tasks.
func (m *member) watchMemory() {
	c := m.crew
	if c.limits.private == 0 {
		return
	}
	x := &sampled{m: m, statm: -1}
	x.open()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sampler.all = append(c.sampler.all, x)
	c.sampleSoon()
}

// open opens the file that shows the worker's memory. If open fails, for example for lack of
// descriptors, the next sample tries again.
func (x *sampled) open() {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/statm", x.m.proc.InProc), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		x.statm = fd
	}
}

func (x *sampled) close() {
	if x.statm >= 0 {
		_ = unix.Close(x.statm)
	}
}

// unwatchMemory undoes watchMemory.
func (m *member) unwatchMemory() {
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	s := &m.crew.sampler
	s.all = slices.DeleteFunc(s.all, func(x *sampled) bool {
		switch {
		case x.m != m:
			return false
		case s.looking:
			s.ended = append(s.ended, x)
		default:
			x.close()
		}
		return true
	})
}

// sampleSoon samples the workers until none of them is busy. The caller must hold c.mu.
func (c *Crew) sampleSoon() {
	switch s := &c.sampler; {
	case c.limits.private == 0 || c.closed:
	case s.armed:
		s.again = true
	default:
		s.armed = true
		s.timer.Reset(sampleEvery)
	}
}

// sample takes a sample. The sampler's timer calls it.
func (c *Crew) sample() {
	s := &c.sampler
	c.mu.Lock()
	s.again, s.looking = false, true
	s.busy = s.busy[:0]
	for _, x := range s.all {
		if !x.m.ready || x.m.work.Tasks() > 0 {
			s.busy = append(s.busy, x)
		}
	}
	c.mu.Unlock()

	var over []*member
	for _, x := range s.busy {
		if x.isOver(c.limits.private) {
			over = append(over, x.m)
		}
	}

	c.mu.Lock()
	s.looking = false
	for _, x := range s.ended {
		x.close()
	}
	s.ended = nil
	for _, x := range s.busy {
		x.m.hadMuch = x.much
	}

	var drops []run
	over = slices.DeleteFunc(over, func(m *member) bool { return !c.isEndedByMemory(m, collectRuns(&drops)) })
	if len(over) > 0 {
		c.distribute()
	}

	if s.armed = (len(s.busy) > 0 || s.again) && !c.closed; s.armed {
		s.timer.Reset(max(sampleEvery, time.Duration(len(s.busy))*sampleEach))
	}
	c.mu.Unlock()

	c.settleAll(drops, c.whyNot)
	for _, m := range over {
		m.proc.Signal(syscall.SIGKILL) // a keeper would take longer
		m.proc.Kill()
	}
}

// isEndedByMemory notes that a worker must be killed for its memory. It reports false if the worker
// is being ended already. Tasks that the worker has not started go elsewhere. The caller must hold
// c.mu.
func (c *Crew) isEndedByMemory(m *member, drop sched.Drop) bool {
	if m.dead || m.doomed {
		return false
	}

	if task, ok := m.work.Running(); ok {
		c.sched.Behind(&m.work, task.Seq, drop)
	}

	m.doomed = true
	if m.cause == nil {
		m.cause = ErrMemory
	}
	return true
}

// isOver reports whether a worker has more private memory than it may have. It looks at mapped
// memory if the worker has a limit of data, and otherwise at resident memory.
func (x *sampled) isOver(limit int64) bool {
	if x.statm < 0 {
		if x.open(); x.statm < 0 {
			return false
		}
	}

	var buf [128]byte
	n, err := sys.ReadAtOnce(x.statm, buf[:])
	if err != nil {
		return false
	}

	limits := x.m.crew.cfg.Link.Limits
	if x.data == 0 {
		var has unix.Rlimit
		most := limits.DataLimit(link.MostUnused)
		if unix.Prlimit(x.m.proc.PID, unix.RLIMIT_DATA, nil, &has) == nil && has.Cur <= uint64(most) {
			x.data = int64(has.Cur)
		}
	}

	now := sys.ParseStatm(buf[:n])
	if x.data == 0 {
		return now.Own() > limit
	}

	if now.Data() > 0 { // the worker has not ended in the meantime
		may := int64(limits.DataLimit(0))
		unused := x.data - may
		x.much = now.Data()-unused > may/2
	}

	// Memory that was made read-only no longer counts as data.
	return now.Data() > x.data+stackOf || now.Own() > limit+vague
}
