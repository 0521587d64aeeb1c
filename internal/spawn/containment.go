package spawn

// A Containment is what kills the descendants of a process that have left its
// process group.
type Containment int

const (
	// Group is nothing.
	Group Containment = iota
	// Subreaper is a keeper process, the parent of ours, to which the kernel
	// hands over all its orphans, and which kills them.
	Subreaper
	// Namespace is a PID namespace of which the keeper is the first process: with
	// it the kernel ends all others.
	Namespace
)
