package mp

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/spawn"
)

// A Containment is a way to kill the processes that a task has started. They are killed when the
// worker ends, however it ends, but not when the task ends. They are also killed when this program
// ends, even by SIGKILL. [Stats] tells which containment a pool has.
type Containment string

// Containments, from the weakest to the strongest.
const (
	// ContainGroup kills the worker's process group. It contains the descendants of the worker,
	// except those that leave it with setsid or setpgid, as daemons do. Every pool has this
	// containment, and its cost is negligible.
	ContainGroup Containment = "process group"

	// ContainSubreaper kills all descendants of the worker, including daemons. It puts a keeper
	// process between this process and each worker, and the system makes the keeper the parent of
	// orphaned descendants. A keeper takes about 3 ms to start and 1 MB of memory. It needs no
	// privilege. A task that kills the keeper escapes.
	ContainSubreaper Containment = "subreaper"

	// ContainCgroup kills all members of the worker's control group. It needs [Limits].Cgroup, and
	// every pool with Limits.Cgroup has it. A task that may move processes into other groups can
	// let them escape.
	ContainCgroup Containment = "cgroup"

	// ContainNamespace runs each worker in a PID namespace. The system itself kills all processes
	// of the namespace when the namespace ends, and no process can escape. It costs as much as
	// ContainSubreaper and needs CAP_SYS_ADMIN or unprivileged user namespaces. In the worker,
	// process numbers such as os.Getpid's are those of the namespace, while /proc still shows the
	// numbers outside.
	ContainNamespace Containment = "PID namespace"
)

func (c Containment) spawn() spawn.Containment {
	switch c {
	case ContainSubreaper:
		return spawn.Subreaper
	case ContainNamespace:
		return spawn.Namespace
	}
	return spawn.Group
}

// containing checks a required containment against the limits.
type containing struct {
	required Containment
	cgroup   string
}

func (c PoolConfig) containing() containing {
	return containing{c.RequireContainment, c.Limits.Cgroup}
}

func (c containing) check() error {
	switch c.required {
	case "", ContainGroup, ContainSubreaper, ContainNamespace:
		return nil
	case ContainCgroup:
		if c.cgroup == "" {
			return fmt.Errorf("RequireContainment is %q: that needs Limits.Cgroup", c.required)
		}
		return nil
	}
	return fmt.Errorf("RequireContainment is %q, which is not known", c.required)
}

// holds returns the strongest containment that the pool has.
func (c containing) holds() Containment {
	switch {
	case c.required == ContainNamespace:
		return ContainNamespace
	case c.cgroup != "":
		return ContainCgroup
	case c.required == "":
		return ContainGroup
	}
	return c.required
}
