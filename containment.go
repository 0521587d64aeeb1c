package mp

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/spawn"
)

// A Containment is what kills the processes that a task has started, when its
// worker has ended (not at the end of the task), however it did, and when this
// program ends, SIGKILL included.
// [Stats] tells which one a pool has.
type Containment string

// Containments, from the weakest to the strongest.
const (
	// ContainGroup kills the worker's process group, which is where the
	// children of a task and theirs are, unless they leave it, as daemons do
	// (setsid, setpgid). Every pool has it, and it costs next to nothing.
	ContainGroup Containment = "process group"

	// ContainSubreaper kills all descendants, daemons too. A keeper process
	// stands between this one and each worker, which takes some 3 ms to start
	// and 1 MB, and to which the system hands over what loses its parent. It
	// needs no privilege. A task that kills the keeper itself gets away.
	ContainSubreaper Containment = "subreaper"

	// ContainCgroup kills all members of the worker's control group. It needs
	// [Limits].Cgroup, and a pool that has that has it without being asked. A
	// task that may move processes into other groups can get them away.
	ContainCgroup Containment = "cgroup"

	// ContainNamespace runs each worker in a PID namespace, with which the
	// system itself kills all that is in it: nothing gets away. It costs what
	// ContainSubreaper does, and needs CAP_SYS_ADMIN or unprivileged user
	// namespaces. In the worker process numbers, os.Getpid among them, are the
	// namespace's, while /proc still shows those outside.
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

// holds is the strongest that a pool has.
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
