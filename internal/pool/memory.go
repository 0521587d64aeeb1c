//go:build linux

package pool

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
// that was reserved earlier succeeds, and only the next mapping fails. The Go runtime maps large
// spans that way. RLIMIT_AS would refuse the reservation, but it counts memory that must not count:
// objects that other processes share with the worker, files that a task maps, the 64 MiB of
// addresses that each thread's malloc reserves, the stacks of threads, and the race detector's
// terabytes. Raising RLIMIT_AS around each of mp's own mappings would not help with the user's
// mappings. So mp also samples the memory of workers while they start or run tasks.

const (
	// The interval between samples is sampleEvery, or sampleEach times the number of sampled
	// workers if that is longer. The interval depends on a count because a measured duration would
	// grow with everything that delays this process.
	sampleEvery = 10 * time.Millisecond
	sampleEach  = time.Millisecond
	// firstStackSize is the size of the first thread's stack. statm counts it as data, but
	// RLIMIT_DATA does not.
	firstStackSize = 8 << 20
	// rssError is the largest error in statm's resident memory. The figure is inexact because the
	// kernel counts resident memory per processor.
	rssError = 64 << 20
)

// A sampler samples the memory of workers. The pool's lock guards the sampler's fields, except busy
// while sampling is set.
type sampler struct {
	timer    *time.Timer
	armed    bool // the timer is running, or a sample is being taken
	again    bool // work has arrived since the sample began
	sampling bool // a sample is being taken, without the lock
	all      []*sampled
	busy     []*sampled // the workers in this sample
	ended    []*sampled // workers that ended while sampling was set
}

// sampled is a worker that is sampled.
type sampled struct {
	w         *worker
	statm     int
	data      int64 // the worker's data limit, once known
	nearLimit bool  // at the last sample, the worker had mapped most of the memory that it may map
}

// watchMemory registers a worker with the sampler, which samples the worker's memory while the
// worker is starting or has tasks.
func (w *worker) watchMemory() {
	p := w.pool
	if p.limits.private == 0 {
		return
	}
	x := &sampled{w: w, statm: -1}
	x.open()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sampler.all = append(p.sampler.all, x)
	p.sampleSoon()
}

// open opens the /proc file that shows the worker's memory. If open fails, for example for lack of
// descriptors, the next sample tries again.
func (x *sampled) open() {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/statm", x.w.proc.InProc), unix.O_RDONLY|unix.O_CLOEXEC, 0)
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
func (w *worker) unwatchMemory() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	s := &w.pool.sampler
	s.all = slices.DeleteFunc(s.all, func(x *sampled) bool {
		switch {
		case x.w != w:
			return false
		case s.sampling:
			s.ended = append(s.ended, x)
		default:
			x.close()
		}
		return true
	})
}

// sampleSoon samples the workers until none of them is busy. The caller must hold p.mu.
func (p *Pool) sampleSoon() {
	switch s := &p.sampler; {
	case p.limits.private == 0 || p.closed:
	case s.armed:
		s.again = true
	default:
		s.armed = true
		s.timer.Reset(sampleEvery)
	}
}

// sample takes a sample. The sampler's timer calls it.
func (p *Pool) sample() {
	s := &p.sampler
	p.mu.Lock()
	s.again, s.sampling = false, true
	s.busy = s.busy[:0]
	for _, x := range s.all {
		if !x.w.ready || x.w.work.Tasks() > 0 {
			s.busy = append(s.busy, x)
		}
	}
	p.mu.Unlock()

	var over []*worker
	for _, x := range s.busy {
		if x.isOver(p.limits.private) {
			over = append(over, x.w)
		}
	}

	p.mu.Lock()
	s.sampling = false
	for _, x := range s.ended {
		x.close()
	}
	s.ended = nil
	for _, x := range s.busy {
		x.w.nearLimit = x.nearLimit
	}

	var drops []run
	over = slices.DeleteFunc(over, func(w *worker) bool { return !p.isEndedByMemory(w, collectRuns(&drops)) })
	if len(over) > 0 {
		p.distribute()
	}

	if s.armed = (len(s.busy) > 0 || s.again) && !p.closed; s.armed {
		s.timer.Reset(max(sampleEvery, time.Duration(len(s.busy))*sampleEach))
	}
	p.mu.Unlock()

	p.settleAll(drops, p.whyNot)
	for _, w := range over {
		w.proc.Signal(syscall.SIGKILL) // a supervisor would take longer
		w.proc.Kill()
	}
}

// isEndedByMemory notes that a worker must be killed because of its memory. It reports false if the
// worker is already being ended. Tasks that the worker has not started go to other workers. The
// caller must hold p.mu.
func (p *Pool) isEndedByMemory(w *worker, drop sched.Drop) bool {
	if w.dead || w.killing {
		return false
	}

	if task, ok := w.work.Running(); ok {
		p.sched.Behind(&w.work, task.Seq, drop)
	}

	w.killing = true
	if w.cause == nil {
		w.cause = ErrMemory
	}
	return true
}

// isOver reports whether a worker has more private memory than it may have. If the worker has a
// data limit, isOver looks mainly at mapped memory, otherwise only at resident memory.
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

	limits := x.w.pool.cfg.Link.Limits
	if x.data == 0 {
		var has unix.Rlimit
		most := limits.DataLimit(link.MaxUnused)
		if unix.Prlimit(x.w.proc.PID, unix.RLIMIT_DATA, nil, &has) == nil && has.Cur <= uint64(most) {
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
		x.nearLimit = now.Data()-unused > may/2
	}

	// Memory that was made read-only no longer counts as data.
	return now.Data() > x.data+firstStackSize || now.Own() > limit+rssError
}
