//go:build linux

package crew

import "github.com/go-multiprocessing/mp/internal/sched"

// alone runs one task on an idle worker from the caller's goroutine, which has the pump's role
// meanwhile. A goroutine between the caller and the worker would double the time of a call. The
// task's context bounds the wait. Sending a large argument could take longer, so that is left to
// the pump.
func (m *member) alone(ch sched.Chunk) {
	err := m.send(ch)
	if err == nil {
		m.link.Low(m.end)
		err = m.link.Wake()
	}

	for err == nil && m.body == nil && m.busyAlone() {
		if err = m.link.WaitAlone(); err == nil {
			_, err = m.collect()
		}
	}

	if err != nil {
		m.condemn(err) // the pump will notice
	}
	m.release()
}

func (m *member) busyAlone() bool {
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	return m.work.Tasks() > 0 && !m.dead
}

// release returns the worker to the idle workers, or to its pump if there is more to do.
func (m *member) release() {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	m.leased = false
	if m.dead || m.doomed || m.leaving || m.stalled || m.work.Tasks() > 0 || c.sched.Next() != nil || c.draining || c.closed {
		m.wakeUp()
		return
	}
	m.becomeIdle()
}
