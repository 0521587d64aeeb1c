package mp

// Stats is what a pool is doing and what has happened to its workers. Its String is a table for
// people.
type Stats struct {
	Workers int // that it is to have
	Serving int // that are in service: none right after NewPool, see Pool.Ready; more than Workers while those too many finish their tasks
	Busy    int // of these, with tasks
	Spares  int // further ones that are ready
	Queued  int // submissions of which tasks wait for a worker; a Map is one

	Started  int // workers that have come into service so far
	Recycled int // of these, ended to make way for fresh ones, see [Recycle] and [Pool.Resize]
	Died     int // of these, ended in any other way but with the pool

	PerWorker []WorkerStats  // of those in service, in the order of their places
	Functions []FuncStats    // that have been run, by name
	Slowest   []SlowTask     // at most ten, the slowest first
	Ends      []WorkerEnd    // of workers, but with the pool: at most ten, the last one last
	Failing   []StartFailure // places for which no worker can be started at present, in their order

	Containment Containment // what kills the processes that tasks leave behind
	Enforced    Enforced    // what sees to the limits
}

// Stats returns the pool's figures at one moment. It costs some ten microseconds a worker, most of
// them for its memory, and the tasks nothing. A nil Pool has none.
func (p *Pool) Stats() Stats {
	if !p.made() {
		return Stats{}
	}
	s := p.engine.Stats()
	stats := Stats{
		Workers: s.Places, Serving: s.Serving, Busy: s.Busy, Spares: s.Spares, Queued: s.Queued,
		Started: s.Started, Recycled: s.Recycled, Died: s.Died,
		Containment: p.containment, Enforced: p.enforced,
	}
	for _, w := range s.Workers {
		stats.PerWorker = append(stats.PerWorker, newWorkerStats(w))
	}
	for _, f := range s.Funcs {
		stats.Functions = append(stats.Functions, FuncStats(f))
	}
	for _, t := range s.Slowest {
		stats.Slowest = append(stats.Slowest, SlowTask(t))
	}
	for _, e := range s.Ends {
		stats.Ends = append(stats.Ends, WorkerEnd(e))
	}
	for _, f := range s.Failing {
		stats.Failing = append(stats.Failing, newStartFailure(f))
	}
	return stats
}
