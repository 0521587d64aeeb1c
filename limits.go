package mp

import (
	"fmt"
	"slices"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/pool"
	"github.com/go-multiprocessing/mp/internal/race"
)

// Limits bound the resources of each worker of a pool. The zero value of a field sets no limit.
// Processes that a task starts inherit the limits, which apply to each process separately.
type Limits struct {
	// Memory is how many bytes of memory a worker may use, at least 64 MiB. A task that needs more
	// ends with its worker, and its error is a [*WorkerError] with [ReasonOutOfMemory]. The garbage
	// collector works harder as a worker nears the limit (GOMEMLIMIT). [Stats].Enforced names the
	// mechanism that enforces the limit. The limit is exact only with Cgroup. Without Cgroup a
	// worker may exceed it by a quarter, but by at most 48 MiB, and for a moment by more: see
	// below.
	//
	// With Cgroup, the control group enforces the limit if it has a memory controller. It counts
	// the memory in use by the worker and by all processes that its tasks start.
	//
	// Without Cgroup, the limit covers the private memory of the worker's own process, whatever
	// allocates it: the heap, stacks, C's malloc, anonymous mappings, and private writable mappings
	// of files. It does not cover shared memory, other mappings of files, or processes that a task
	// starts. The collector keeps a quarter of the limit plus 16 MiB free, because tasks go on
	// allocating while it works. A task that allocates faster than the collector frees can still
	// end with its worker, even if most of its memory is garbage. Two mechanisms enforce the limit,
	// and neither needs a privilege:
	//
	//   - The system limits private writable memory (RLIMIT_DATA). The limit counts mapped memory,
	//     used or not, except for memory that the worker had mapped and not used when it started.
	//     The system refuses a mapping that would exceed the limit. RLIMIT_DATA is above Memory by
	//     a quarter, but by at most 48 MiB, so that garbage has room until the collector has freed
	//     it. If the system refuses memory to the Go runtime, the worker ends. Sometimes the
	//     runtime then crashes without saying why; the reason is [ReasonFatal] unless mp recognizes
	//     that crash. If the system refuses memory to C code or a caller of mmap, that code decides
	//     what to do. A large allocation by Go can escape RLIMIT_DATA; only the next one fails.
	//   - Because of such escapes, this process also samples the workers that are starting or
	//     running tasks: every 10 ms, or every n ms if there are n workers and n is more than ten.
	//     Sampling takes 1 to 2 % of a processor. This process kills a worker that has mapped more
	//     than RLIMIT_DATA allows, or that uses 64 MiB more than Memory; the second check finds
	//     memory that was made read-only, which escapes RLIMIT_DATA. By then the worker may have
	//     used some of the excess: about 100 MiB in 10 ms. Samples come later if the processors are
	//     overloaded.
	//
	// Under the race detector, which maps far more memory than a program uses, there is no
	// RLIMIT_DATA, and only memory in use counts. Defaults to no limit.
	Memory int64

	// Cgroup is the directory of a control group in which this program may create others, such as
	// /sys/fs/cgroup/myservice/workers. The group is of version 2 or in a hierarchy of version 1.
	// Each worker gets a group of its own, which is removed with the worker, however this program
	// ends. Processes that a task starts die with the worker, see [ContainCgroup]. This process
	// itself is never moved. A group of version 2 must contain no processes; otherwise its memory
	// controller is not available to the workers' groups. Defaults to no control groups.
	Cgroup string

	// CPUs are the processors that workers may run on. Worker 1 runs on the processors of the first
	// element, worker 2 on those of the second, and so on; after the last element, they start again
	// from the first. A single element applies to all workers. Setup runs on the same processors.
	// In a spare, which has no number yet, that holds only if there is a single element. Defaults
	// to all processors that this process may use.
	CPUs [][]int

	// OpenFiles is how many descriptors a worker may have open, at least 16. Defaults to this
	// process's limit.
	OpenFiles int

	// Nice is added to the workers' niceness, from 1 to 19. A worker with a higher niceness gives
	// way to other processes. If Linux schedules sessions as groups (autogroup), it gives way only
	// to processes of this program's session. Defaults to 0, which leaves the niceness as it is.
	Nice int

	// NoCoreDumps keeps crashing workers from writing core dumps. Defaults to false.
	NoCoreDumps bool
}

// Enforced names the mechanism that enforces each of the [Limits] on this system: "cgroup v2",
// "cgroup v1", a resource limit, a system call, or "samples" if this process samples the workers'
// memory. A comma separates two names: "RLIMIT_DATA, samples". The name is "" for a limit that is
// not set.
type Enforced struct {
	Memory, CPUs, OpenFiles, Nice, NoCoreDumps string
}

const (
	minMemory = 64 << 20
	minFiles  = 16
	maxNice   = 19
	maxCPUs   = 1024 // the size of the system call's set
)

func (l Limits) check() error {
	switch {
	case l.Memory != 0 && l.Memory < minMemory:
		return fmt.Errorf("Limits.Memory is %d bytes: a worker needs %d at least", l.Memory, minMemory)
	case l.OpenFiles != 0 && l.OpenFiles < minFiles:
		return fmt.Errorf("Limits.OpenFiles is %d: a worker needs %d at least", l.OpenFiles, minFiles)
	case slices.ContainsFunc(l.CPUs, func(set []int) bool { return len(set) == 0 || slices.Min(set) < 0 || slices.Max(set) >= maxCPUs }):
		return fmt.Errorf("Limits.CPUs is %v: each element must name processors, from 0", l.CPUs)
	case l.Nice < 0 || l.Nice > maxNice:
		return fmt.Errorf("Limits.Nice is %d: it must be 0 to %d", l.Nice, maxNice)
	}
	return nil
}

// apply returns the limits that the parent sets.
func (l Limits) apply() pool.Limits {
	return pool.Limits{Memory: l.Memory, Cgroup: l.Cgroup, CPUs: l.CPUs}
}

// link returns the limits that a worker sets for itself.
func (l Limits) link() link.Limits {
	return link.Limits{Files: l.OpenFiles, Nice: l.Nice, NoCore: l.NoCoreDumps}
}

// enforced names the mechanisms that enforce the limits. memory names the control group's memory
// controller, or is empty if there is none.
func (l Limits) enforced(memory string) Enforced {
	e := Enforced{Memory: memory}
	if e.Memory == "" {
		e.Memory = "RLIMIT_DATA, samples"
		if race.Enabled {
			e.Memory = "samples"
		}
	}
	if l.Memory == 0 {
		e.Memory = ""
	}

	for _, f := range []struct {
		set bool
		by  *string
		how string
	}{
		{len(l.CPUs) > 0, &e.CPUs, "sched_setaffinity"},
		{l.OpenFiles > 0, &e.OpenFiles, "RLIMIT_NOFILE"},
		{l.Nice > 0, &e.Nice, "setpriority"},
		{l.NoCoreDumps, &e.NoCoreDumps, "RLIMIT_CORE"},
	} {
		if f.set {
			*f.by = f.how
		}
	}

	return e
}
