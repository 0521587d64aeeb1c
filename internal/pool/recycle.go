//go:build linux

package pool

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// The reasons for which a worker makes way for a fresh one.
const (
	tooMany  = "the pool was made smaller"
	idleLong = "recycled: idle"
	largeNow = "recycled: memory"
	enough   = "recycled: tasks"
)

// leave takes the worker out of service once it has finished its current task. Tasks that it has
// not started go to other workers. The caller must hold the pool's lock.
func (w *worker) leave(why string) {
	if w.leaving || w.dead {
		return
	}

	p := w.pool
	w.leaving, w.why = true, why
	p.sched.TakeBack(&w.work, p.drop)

	if w.idle {
		p.removeIdle(w)
	}
	if !w.leased {
		w.wakeUp()
	}
	w.link.Kick()
	p.distribute()
}

// count notes that the outcomes of n more tasks are known. It recycles the worker when the maximum
// number of tasks is reached. The caller must hold the pool's lock.
func (w *worker) count(n int) {
	w.finished += n
	if limit := w.pool.cfg.Recycle.Tasks; limit > 0 && w.finished >= limit {
		w.leave(enough)
	}
}

// checkMemory recycles a worker that has too much private memory.
func (w *worker) checkMemory() {
	p := w.pool
	limit := p.cfg.Recycle.Memory
	if limit == 0 || memoryOf(w.proc.InProc) <= limit {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.leave(largeNow)
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

func (p *Pool) removeIdle(w *worker) {
	p.idle = slices.DeleteFunc(p.idle, func(x *worker) bool { return x == w })
	w.idle = false
	p.countIdle()
}

// becomeIdle notes that there is nothing to do for the worker. The caller must hold the pool's
// lock.
func (w *worker) becomeIdle() {
	p := w.pool
	w.idle = true
	p.idle = append(p.idle, w)
	p.countIdle()
	if limit := p.cfg.Recycle.Idle; limit > 0 {
		w.since = time.Now()
		if len(p.idle) == 1 {
			p.idler.Reset(limit)
		}
	}
}

// endIdle recycles workers that have been idle for too long. A timer calls it.
func (p *Pool) endIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}

	limit := p.cfg.Recycle.Idle
	for i := 0; i < len(p.idle); {
		w := p.idle[i]
		if left := limit - time.Since(w.since); left > 0 {
			p.idler.Reset(left) // the workers after w became idle later
			return
		}
		w.idleTooLong = true
		w.leave(idleLong)
	}
}

// depart moves a worker that makes way out of its slot, so that the slot can be filled while the
// worker tears down. It reports false if the worker keeps its slot, because all workers are ending
// or because as many workers are departing as there are slots: if teardown is slower than the
// tasks, teardown must slow the tasks down.
func (w *worker) depart() bool {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.leaving || p.draining || p.closed || len(p.departing) >= p.want {
		return false
	}

	w.departing = true
	p.workers[w.number()-1] = nil
	p.departing = append(p.departing, w)
	p.counts.Recycled++
	p.noteEnd(w, w.why)
	p.countWorkers()

	p.supervisors.Add(1)
	go func() {
		defer p.supervisors.Done()
		w.awaitTeardown()
		w.reap()
	}()
	return true
}

// awaitTeardown tells the worker to tear down and exit, and returns when the worker has ended.
func (w *worker) awaitTeardown() {
	_ = w.link.Stop()
	if w.pool.cfg.Patient {
		<-w.proc.Done()
		return
	}

	limit := time.NewTimer(maxTeardown)
	defer limit.Stop()

	for {
		select {
		case <-w.proc.Done():
			return
		case <-limit.C:
		}

		w.pool.mu.Lock()
		draining := w.pool.draining
		w.pool.mu.Unlock()
		if draining { // Shutdown has a limit of its own
			<-w.proc.Done()
			return
		}
		w.proc.Kill()
	}
}

// maxTeardown is how long a recycled worker may take to tear down.
const maxTeardown = 10 * time.Second
