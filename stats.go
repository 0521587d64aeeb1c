package mp

// Stats is what a pool is doing and what has happened to its workers.
type Stats struct {
	Workers int // that it is to have
	Serving int // that are in service; more than Workers while those too many finish their tasks
	Busy    int // of these, with tasks
	Spares  int // further ones that are ready
	Queued  int // submissions of which tasks wait for a worker; a Map is one

	Started  int // workers that have come into service so far
	Recycled int // of these, ended to make way for fresh ones, see [Recycle] and [Pool.Resize]
	Died     int // of these, ended in any other way but with the pool

	Containment Containment // what kills the processes that tasks leave behind
	Enforced    Enforced    // what sees to the limits
}

// Enforced says what sees to each of the [Limits] on this system: "cgroup v2",
// "cgroup v1", the name of a resource limit or of a system call. It is "" for a
// limit that is not set.
type Enforced struct {
	Memory, CPUs, OpenFiles, Nice, NoCoreDumps string
}

// Stats returns the pool's figures at one moment. It costs microseconds.
func (p *Pool) Stats() Stats {
	s := p.crew.Stats()
	return Stats{
		Workers: s.Places, Serving: s.Serving, Busy: s.Busy, Spares: s.Spares, Queued: s.Queued,
		Started: s.Started, Recycled: s.Recycled, Died: s.Died,
		Containment: p.containment, Enforced: p.enforced,
	}
}
