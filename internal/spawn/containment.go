package spawn

// A Containment says how to kill descendants of a process that have left its process group.
type Containment int

const (
	// Group does not kill descendants that have left the process group.
	Group Containment = iota
	// Subreaper uses a keeper process, which is the parent of the started process. The kernel makes
	// all orphans the keeper's children, and the keeper kills them.
	Subreaper
	// Namespace uses a PID namespace whose first process is the keeper. The kernel ends all
	// processes of the namespace when the first process ends.
	Namespace
)
