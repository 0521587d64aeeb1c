//go:build linux

package crew

// logged forwards a record that the worker has logged.
func (m *member) logged(data []byte) {
	n, pid := m.number(), m.proc.PID
	m.crew.logs.Add(n, len(data), func() { m.crew.cfg.OnLog(n, pid, data) })
}

// trace logs an event of a worker if Config.Trace is set.
func (m *member) trace(what string, args ...any) {
	c := m.crew
	if !c.cfg.Trace {
		return
	}
	args = append([]any{"name", m.name}, append(args, "worker", m.number(), "pid", m.proc.PID)...)
	c.logs.Info("mp: worker "+what, args...)
}

// trace logs an event of a job's tasks if Config.Trace is set.
func (j *job) trace(what string, args ...any) {
	c := j.crew
	if !c.cfg.Trace {
		return
	}
	args = append([]any{"task", j.id, "count", j.batch.Len(), "func", j.fn}, args...)
	c.logs.Info("mp: tasks "+what, args...)
}

// traceLost logs an event of each task that was running when its worker died.
func (m *member) traceLost(what string, runs []run) {
	for _, r := range runs {
		for i := range r.n {
			m.trace(what, "task", r.job.id+uint64(r.lo+i), "func", r.job.fn)
		}
	}
}
