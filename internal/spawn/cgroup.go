package spawn

import "sync/atomic"

// A Cgroup is a control group that we were given, below which each process gets
// one of its own: of version 2, or a hierarchy of version 1.
type Cgroup struct {
	dir    string
	v2     bool
	memory bool // it can limit memory
	next   atomic.Int64
}

// Memory says by what the group limits memory; "" if it does not.
func (g *Cgroup) Memory() string {
	switch {
	case g == nil || !g.memory:
		return ""
	case g.v2:
		return "cgroup v2"
	}
	return "cgroup v1"
}
