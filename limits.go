package mp

import (
	"fmt"
	"slices"

	"github.com/go-multiprocessing/mp/internal/crew"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/race"
)

// Limits bound what each worker of a pool may use. The zero value of a field
// sets no limit. What a task starts inherits them, each process for itself.
type Limits struct {
	// Memory is how many bytes of memory a worker may use; less than 64 MiB is
	// an error. The collector works harder as a worker nears the limit (GOMEMLIMIT). A
	// task that needs more ends with its worker, and its error is a [*WorkerError]
	// with [ReasonOutOfMemory]. [Stats].Enforced names what enforces the limit. The
	// limit is exact only with Cgroup; without, a worker may use a quarter more, at
	// most 48 MiB.
	//
	// With Cgroup, the control group enforces the limit if it has a memory
	// controller. It counts the memory in use by the worker and by all processes
	// that its tasks start.
	//
	// Without, it is the private memory of the worker's own process that counts,
	// whoever allocates it: heap, stacks, C's malloc, anonymous maps, and private
	// maps of files that may be written. Shared memory, other maps of files and
	// what a task starts do not count. The collector keeps a quarter of the limit
	// and 16 MiB free, since tasks go on allocating while it works. A task that
	// allocates faster than the collector frees can still end with its worker, though
	// most of its memory is garbage. Two mechanisms enforce the limit, and neither
	// needs a privilege:
	//
	//   - The system's limit on private writable memory (RLIMIT_DATA) counts mapped
	//     memory, used or not, except for what the worker had mapped and not used
	//     when it started. It refuses a mapping that would exceed it. It is above
	//     Memory by a quarter, at most 48 MiB, so that garbage has room until the
	//     collector has freed it. If the Go runtime is refused, the worker ends;
	//     sometimes the runtime crashes without saying why, and the reason is
	//     [ReasonFatal] unless mp recognizes that crash. If C code or a caller of
	//     mmap is refused, that code decides what to do. A large allocation by Go
	//     can escape RLIMIT_DATA; only the next one fails.
	//   - Therefore this process samples the workers that are starting or running
	//     tasks: every 10 ms, or every n ms if there are n workers and n is more
	//     than ten. Sampling takes 1 to 2 % of a processor. This process kills a
	//     worker that has mapped more than RLIMIT_DATA allows, or that uses 64 MiB
	//     more than Memory: memory that was made read-only escapes RLIMIT_DATA. By
	//     then the worker may have used some of the excess: some 100 MiB in 10 ms. On
	//     a machine whose processors are overloaded, a sample comes later.
	//
	// Under the race detector, which maps far more than a program uses, there is no
	// RLIMIT_DATA, and only memory in use counts.
	Memory int64

	// Cgroup is the directory of a control group in which this program may make
	// others, such as /sys/fs/cgroup/myservice/workers. It is of version 2 or of a
	// hierarchy of version 1. Each worker gets a group of its own, which is removed
	// with the worker, however this program ends. Processes that a task starts die
	// with the worker, see [ContainCgroup]. This process itself is never moved. A
	// group of version 2 must contain no processes, or its memory controller is not
	// available to the workers' groups.
	Cgroup string

	// CPUs are the processors that workers may run on: worker 1 on those of
	// the first element, worker 2 on those of the second and so on, and from
	// the beginning again after the last. A single element pins all to the
	// same ones. Setup runs pinned too. In a spare, whose number is not known yet,
	// Setup runs pinned only if there is a single element.
	CPUs [][]int

	// OpenFiles is how many descriptors a worker may have open; 16 at least.
	OpenFiles int

	// Nice is added to the workers' niceness, 1 to 19: above 0 they give way
	// to other processes. Where Linux schedules sessions as groups (autogroup),
	// these are the processes of this program's session.
	Nice int

	// NoCoreDumps keeps crashing workers from writing core dumps.
	NoCoreDumps bool
}

const (
	leastMemory = 64 << 20
	leastFiles  = 16
	mostNice    = 19
	mostCPUs    = 1024 // that the system's call can name
)

func (l Limits) check() error {
	switch {
	case l.Memory != 0 && l.Memory < leastMemory:
		return fmt.Errorf("Limits.Memory is %d bytes: a worker needs %d at least", l.Memory, leastMemory)
	case l.OpenFiles != 0 && l.OpenFiles < leastFiles:
		return fmt.Errorf("Limits.OpenFiles is %d: a worker needs %d at least", l.OpenFiles, leastFiles)
	case slices.ContainsFunc(l.CPUs, func(set []int) bool { return len(set) == 0 || slices.Min(set) < 0 || slices.Max(set) >= mostCPUs }):
		return fmt.Errorf("Limits.CPUs is %v: each element must name processors, from 0", l.CPUs)
	case l.Nice < 0 || l.Nice > mostNice:
		return fmt.Errorf("Limits.Nice is %d: it must be 0 to %d", l.Nice, mostNice)
	}
	return nil
}

// crew translates the limits that the parent sets.
func (l Limits) crew() crew.Limits {
	return crew.Limits{Memory: l.Memory, Cgroup: l.Cgroup, CPUs: l.CPUs}
}

// link translates the limits that a worker sets for itself.
func (l Limits) link() link.Limits {
	return link.Limits{Files: l.OpenFiles, Nice: l.Nice, NoCore: l.NoCoreDumps}
}

// enforced names what enforces the limits that are set. memory is the control group's memory controller, or empty.
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

// Enforced names what enforces each of the [Limits] on this system: "cgroup v2", "cgroup v1",
// a resource limit, a system call, or "samples" if this process samples the workers' memory.
// Two names are separated by a comma: "RLIMIT_DATA, samples". A limit that is not set has "".
type Enforced struct {
	Memory, CPUs, OpenFiles, Nice, NoCoreDumps string
}
