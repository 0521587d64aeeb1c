//go:build linux

package pool

import "github.com/go-multiprocessing/mp/internal/sched"

// runDirect runs one task on an idle worker from the caller's goroutine, which takes the pump's
// role in the meantime. A goroutine between the caller and the worker would double the duration of
// a call. The task's context bounds the wait. Sending a large argument could take longer, so
// runDirect leaves that to the pump.
func (w *worker) runDirect(ch sched.Chunk) {
	err := w.send(ch)
	if err == nil {
		w.link.Low(w.end)
		err = w.link.Wake()
	}

	for err == nil && w.body == nil && w.busyDirect() {
		if err = w.link.WaitAlone(); err == nil {
			_, err = w.collect()
		}
	}

	if err != nil {
		w.killBroken(err) // the pump will notice
	}
	w.release()
}

func (w *worker) busyDirect() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.work.Tasks() > 0 && !w.dead
}

// release returns the worker to the idle workers, or to its pump if there is more to do.
func (w *worker) release() {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	w.leased = false
	if w.dead || w.killing || w.leaving || w.stalled || w.work.Tasks() > 0 || p.sched.Next() != nil || p.draining || p.closed {
		w.wakeUp()
		return
	}
	w.becomeIdle()
}
