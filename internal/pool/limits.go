//go:build linux

package pool

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// limits are the limits of a pool's workers, grouped by what enforces them.
type limits struct {
	cgroup  *spawn.Cgroup // contains a group for each worker; nil if there is no control group
	group   int64         // the limit of each group's memory
	private int64         // the limit of each worker's private memory, if its group has none
	cpus    [][]int
}

// openLimits opens the control group and checks that workers can be pinned.
func openLimits(l Limits) (limits, error) {
	opened := limits{cpus: l.CPUs}

	if l.Cgroup != "" {
		group, err := spawn.OpenCgroup(l.Cgroup)
		if err != nil {
			return limits{}, &ConfigError{"Limits.Cgroup", err}
		}
		opened.cgroup = group
	}

	if opened.cgroup.Memory() != "" {
		opened.group = l.Memory
	} else {
		opened.private = l.Memory
	}

	for _, cpus := range l.CPUs {
		if err := sys.CanPin(cpus); err != nil {
			return limits{}, &ConfigError{"Limits.CPUs", fmt.Errorf("workers cannot be pinned to %v: %w", cpus, err)}
		}
	}
	return opened, nil
}

// CgroupMemory returns the name of the memory controller of the pool's control group, or "" if
// there is none.
func (p *Pool) CgroupMemory() string { return p.limits.cgroup.Memory() }
