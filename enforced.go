package mp

// Enforced says what sees to each of the [Limits] on this system: "cgroup v2",
// "cgroup v1", the name of a resource limit or of a system call, or "samples" where
// this process looks at the workers, see [Limits]. It is "" for a limit that is not set.
type Enforced struct {
	Memory, CPUs, OpenFiles, Nice, NoCoreDumps string
}
