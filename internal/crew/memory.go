//go:build linux

package crew

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// Without a control group, nothing in the kernel bounds the memory of one process exactly. RLIMIT_DATA refuses each
// mapping that would exceed it, but for one over a range that was reserved before, as the Go runtime maps large spans:
// then only the next one fails. RLIMIT_AS would refuse the reservation, but it counts what must not count: objects that
// other processes share with the worker, files that a task maps, the 64 MiB of addresses that each thread's malloc
// reserves, the stacks of threads, and the race detector's terabytes. To raise it around each mapping of ours leaves
// those of the user. So the memory of workers is looked at, too, while they run tasks.

const (
	// sampleEvery is how long it is from one look at the workers to the next, at least.
	sampleEvery = 10 * time.Millisecond
	// sampleShare is how many times as long as a look takes it is to the next, at least.
	sampleShare = 200
	// stackOf is what statm counts as data, and RLIMIT_DATA does not: the stack of the first thread.
	stackOf = 8 << 20
)

// A sampler looks at the memory of workers.
type sampler struct {
	timer *time.Timer
	armed bool // under the crew's lock

	mu  sync.Mutex // taken with the crew's lock, or without
	all []*sampled
}

// sampled is a worker that is looked at.
type sampled struct {
	m     *member
	statm int
	busy  bool
}

// watchMemory has the memory of a worker looked at from its start to its end.
func (m *member) watchMemory() {
	c := m.crew
	if c.cfg.LimitMemory == 0 {
		return
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/statm", m.proc.InProc), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil { // it has ended, or has a number that cannot be seen here
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sampler.mu.Lock()
	defer c.sampler.mu.Unlock()
	c.sampler.all = append(c.sampler.all, &sampled{m: m, statm: fd})
	c.sampleSoon()
}

// unwatchMemory is the counterpart of watchMemory.
func (m *member) unwatchMemory() {
	s := &m.crew.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(x *sampled) bool {
		if x.m == m {
			_ = unix.Close(x.statm)
		}
		return x.m == m
	})
}

// sampleSoon has the workers looked at as long as one is busy; under the lock.
func (c *Crew) sampleSoon() {
	if c.cfg.LimitMemory > 0 && !c.sampler.armed && !c.closed {
		c.sampler.armed = true
		c.sampler.timer.Reset(sampleEvery)
	}
}

// sample is the timer's.
func (c *Crew) sample() {
	s := &c.sampler
	begun := time.Now()
	c.mu.Lock()
	s.mu.Lock()
	s.armed = false // a worker that gets work from here on sets the timer again
	some := false
	for _, x := range s.all {
		x.busy = !x.m.enlisted || x.m.work.Tasks() > 0
		some = some || x.busy
	}
	c.mu.Unlock()
	var over []*member
	for _, x := range s.all {
		if x.busy && x.isOver(c.cfg.LimitMemory) {
			over = append(over, x.m)
		}
	}
	s.mu.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range over {
		m.doomed = true
		if m.cause == nil {
			m.cause = ErrMemory
		}
		m.proc.Kill()
	}
	if some && !s.armed && !c.closed {
		s.armed = true
		s.timer.Reset(max(sampleEvery, sampleShare*time.Since(begun)))
	}
}

// isOver reports whether a worker has more private memory than it may have: resident, or, if it has the limit of data,
// mapped.
func (x *sampled) isOver(limit int64) bool {
	var buf [128]byte
	n, err := sys.ReadAtOnce(x.statm, buf[:])
	if err != nil {
		return false
	}
	f := numbers(buf[:n])
	page := int64(os.Getpagesize())
	const resident, shared, data = 1, 2, 5
	if (f[resident]-f[shared])*page > limit {
		return true
	}
	if f[data]*page <= limit+stackOf {
		return false
	}
	var has unix.Rlimit
	return unix.Prlimit(x.m.proc.PID, unix.RLIMIT_DATA, nil, &has) == nil && has.Cur <= uint64(limit)
}

// numbers are those of a line of statm.
func numbers(line []byte) (f [7]int64) {
	i := 0
	for _, b := range line {
		switch {
		case b >= '0' && b <= '9':
			f[i] = 10*f[i] + int64(b-'0')
		case b == ' ' && i < len(f)-1:
			i++
		}
	}
	return f
}
