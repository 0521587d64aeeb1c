package spawn

import "sync/atomic"

// A Cgroup is a control group that the user has specified, of version 2 or in a hierarchy of
// version 1. Each process gets its own group below it.
type Cgroup struct {
	dir    string
	v2     bool
	memory bool // it can limit memory
	next   atomic.Int64
}

// Memory returns the mechanism by which the group limits memory, or "" if the group cannot limit
// memory.
func (g *Cgroup) Memory() string {
	switch {
	case g == nil || !g.memory:
		return ""
	case g.v2:
		return "cgroup v2"
	}
	return "cgroup v1"
}
