//go:build linux

package pool

// logged forwards a log record from the worker.
func (w *worker) logged(data []byte) {
	n, pid := w.number(), w.proc.PID
	w.pool.logs.Add(n, len(data), func() { w.pool.cfg.OnLog(n, pid, data) })
}

// trace logs an event of a worker if Config.Trace is set.
func (w *worker) trace(what string, args ...any) {
	p := w.pool
	if !p.cfg.Trace {
		return
	}
	args = append([]any{"name", w.name}, append(args, "worker", w.number(), "pid", w.proc.PID)...)
	p.logs.Info("mp: worker "+what, args...)
}

// trace logs an event of a job's tasks if Config.Trace is set.
func (j *job) trace(what string, args ...any) {
	p := j.pool
	if !p.cfg.Trace {
		return
	}
	args = append([]any{"task", j.id, "count", j.batch.Len(), "func", j.fn}, args...)
	p.logs.Info("mp: tasks "+what, args...)
}

// traceLost logs an event of each task that was running when its worker died.
func (w *worker) traceLost(what string, runs []run) {
	for _, r := range runs {
		for i := range r.n {
			w.trace(what, "task", r.job.id+uint64(r.lo+i), "func", r.job.fn)
		}
	}
}
