//go:build linux

package crew

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// The reasons why a worker makes way.
const (
	tooMany  = "the pool was made smaller"
	idleLong = "recycled: idle"
	largeNow = "recycled: memory"
	enough   = "recycled: tasks"
)

// leave takes the worker out of service once it has finished its current task. Tasks that it has
// not started go to others. The caller must hold the pool's lock.
func (m *member) leave(why string) {
	if m.leaving || m.dead {
		return
	}

	c := m.crew
	m.leaving, m.why = true, why
	c.sched.TakeBack(&m.work, c.drop)

	if m.idle {
		c.removeIdle(m)
	}
	if !m.leased {
		m.wakeUp()
	}
	m.link.Kick()
	c.distribute()
}

// count notes that the outcomes of n more tasks are known. It recycles the worker when the limit of
// tasks is reached. The caller must hold the pool's lock.
func (m *member) count(n int) {
	m.finished += n
	if limit := m.crew.cfg.Recycle.Tasks; limit > 0 && m.finished >= limit {
		m.leave(enough)
	}
}

// checkMemory recycles a worker that has too much private memory.
func (m *member) checkMemory() {
	c := m.crew
	limit := c.cfg.Recycle.Memory
	if limit == 0 || memoryOf(m.proc.InProc) <= limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.leave(largeNow)
}

// memoryOf returns how many bytes of memory a process has that are neither shared nor part of a
// file. It returns 0 if that is unknown.
func memoryOf(inProc int) int64 {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", inProc))
	if err != nil {
		return 0
	}
	return sys.ParseStatm(line).Own()
}

func (c *Crew) removeIdle(m *member) {
	c.idle = slices.DeleteFunc(c.idle, func(x *member) bool { return x == m })
	m.idle = false
	c.countIdle()
}

// becomeIdle notes that there is nothing to do for the worker. The caller must hold the pool's
// lock.
func (m *member) becomeIdle() {
	c := m.crew
	m.idle = true
	c.idle = append(c.idle, m)
	c.countIdle()
	if limit := c.cfg.Recycle.Idle; limit > 0 {
		m.since = time.Now()
		if len(c.idle) == 1 {
			c.idler.Reset(limit)
		}
	}
}

// endIdle recycles workers that have been idle for long. A timer calls it.
func (c *Crew) endIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}

	limit := c.cfg.Recycle.Idle
	for i := 0; i < len(c.idle); {
		m := c.idle[i]
		if left := limit - time.Since(m.since); left > 0 {
			c.idler.Reset(left) // the workers behind it became idle later
			return
		}
		m.tired = true
		m.leave(idleLong)
	}
}

// depart moves a worker that makes way out of its slot, so that the slot can be filled while the
// worker tears down. It reports false if all workers end, or if as many workers are departing as
// there are slots: if teardown is slower than the tasks, it must slow them down.
func (m *member) depart() bool {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	if !m.leaving || c.draining || c.closed || len(c.departing) >= c.want {
		return false
	}

	m.departing = true
	c.members[m.number()-1] = nil
	c.departing = append(c.departing, m)
	c.counts.Recycled++
	c.noteEnd(m, m.why)
	c.countWorkers()

	c.keepers.Add(1)
	go func() {
		defer c.keepers.Done()
		m.sayGoodbye()
		m.bury()
	}()
	return true
}

// sayGoodbye tells the worker to tear down and exit, and returns when the worker has ended.
func (m *member) sayGoodbye() {
	_ = m.link.Stop()
	if m.crew.cfg.Patient {
		<-m.proc.Done()
		return
	}

	limit := time.NewTimer(goodbye)
	defer limit.Stop()

	for {
		select {
		case <-m.proc.Done():
			return
		case <-limit.C:
		}

		m.crew.mu.Lock()
		draining := m.crew.draining
		m.crew.mu.Unlock()
		if draining { // Shutdown has a limit of its own
			<-m.proc.Done()
			return
		}
		m.proc.Kill()
	}
}

// goodbye is how long a recycled worker may take to tear down.
const goodbye = 10 * time.Second
