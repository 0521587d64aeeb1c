package spawn

// A Containment is a way to kill descendants of a process that have left its process group.
type Containment int

const (
	// Group does not kill such descendants.
	Group Containment = iota
	// Subreaper uses a keeper process, the parent of the started one. The kernel makes all orphans
	// the keeper's children, and the keeper kills them.
	Subreaper
	// Namespace uses a PID namespace whose first process is the keeper. The kernel ends all
	// processes of the namespace with its first.
	Namespace
)
