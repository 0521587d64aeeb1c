package mp

// Enforced names what enforces each of the [Limits] on this system: "cgroup v2", "cgroup v1",
// a resource limit, a system call, or "samples" if this process samples the workers' memory.
// Two names are separated by a comma: "RLIMIT_DATA, samples". A limit that is not set has "".
type Enforced struct {
	Memory, CPUs, OpenFiles, Nice, NoCoreDumps string
}
