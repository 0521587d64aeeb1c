package spawn

// A Containment is what kills the descendants of a process that have left its
// process group.
type Containment int

const (
	// Group: nothing does.
	Group Containment = iota
	// Subreaper: the process gets a keeper for a parent, to which the kernel
	// hands over all its orphans, and which kills them.
	Subreaper
	// Namespace: the keeper is the first process of a PID namespace, with which
	// the kernel ends all others.
	Namespace
)
