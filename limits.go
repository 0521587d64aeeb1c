package mp

import (
	"fmt"

	"github.com/go-multiprocessing/mp/internal/link"
)

// Limits bound what each worker of a pool may use. The zero value of a field
// sets no limit. What a task starts inherits them, each process for itself.
type Limits struct {
	// Memory is how many bytes of private writable memory a worker may have:
	// its heap, stacks, C's malloc and anonymous maps, but not shared memory.
	// The system enforces it (RLIMIT_DATA), without any privilege. A Go program
	// takes some 50 MiB of it for itself; less than 64 MiB is an error. The
	// collector works harder (GOMEMLIMIT) before it is reached. A task that
	// needs more ends with its worker, as a [*WorkerError] with
	// [ReasonOutOfMemory] as a rule. (Sometimes the Go runtime crashes for want
	// of memory without saying so: then it is [ReasonFatal]; and if C fails to
	// allocate, what happens is up to it.) A single huge allocation may pass
	// the limit before the next one fails.
	Memory int64

	// OpenFiles is how many descriptors a worker may have open; 16 at least.
	OpenFiles int

	// Nice is added to the workers' niceness, 1 to 19: above 0 they give way
	// to other processes.
	Nice int

	// NoCoreDumps keeps crashing workers from writing core dumps.
	NoCoreDumps bool
}

const (
	leastMemory = 64 << 20
	leastFiles  = 16
	mostNice    = 19
)

func (l Limits) check() error {
	switch {
	case l.Memory != 0 && l.Memory < leastMemory:
		return fmt.Errorf("mp: PoolConfig.Limits.Memory is %d bytes: a worker needs %d at least", l.Memory, leastMemory)
	case l.OpenFiles != 0 && l.OpenFiles < leastFiles:
		return fmt.Errorf("mp: PoolConfig.Limits.OpenFiles is %d: a worker needs %d at least", l.OpenFiles, leastFiles)
	case l.Nice < 0 || l.Nice > mostNice:
		return fmt.Errorf("mp: PoolConfig.Limits.Nice is %d: it must be 0 to %d", l.Nice, mostNice)
	}
	return nil
}

func (l Limits) link() link.Limits {
	return link.Limits{Memory: int(l.Memory), Files: l.OpenFiles, Nice: l.Nice, NoCore: l.NoCoreDumps}
}
