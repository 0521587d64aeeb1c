//go:build linux

package crew

// logged passes a record on that the worker has logged.
func (m *member) logged(data []byte) {
	n, pid := m.number(), m.proc.PID
	m.crew.logs.Add(n, len(data), func() { m.crew.cfg.OnLog(n, pid, data) })
}

// trace logs what becomes of a worker, if that is to be.
func (m *member) trace(what string, args ...any) {
	c := m.crew
	if !c.cfg.Trace {
		return
	}
	args = append([]any{"name", m.name}, append(args, "worker", m.number(), "pid", m.proc.PID)...)
	c.logs.Info("mp: worker "+what, args...)
}

// trace logs what becomes of a job's tasks, if that is to be.
func (j *job) trace(what string, args ...any) {
	c := j.crew
	if !c.cfg.Trace {
		return
	}
	args = append([]any{"task", j.id, "count", j.batch.Len(), "func", j.fn}, args...)
	c.logs.Info("mp: tasks "+what, args...)
}

// traceLost logs what becomes of tasks that had begun when their worker died.
func (m *member) traceLost(what string, runs []run) {
	for _, r := range runs {
		for i := range r.n {
			m.trace(what, "task", r.job.id+uint64(r.lo+i), "func", r.job.fn)
		}
	}
}
