package mp

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/cause"
)

// ProcessInfo describes a process: this one, its parent or a child.
type ProcessInfo struct {
	// Name is "main" for the main process. Other processes have the name from their
	// [ProcessConfig], or a name that shows the lineage. The number in such a name counts the
	// parent's starts; it is not the worker's number.
	Name string

	// PID is the process ID.
	PID int

	// Daemon reports whether [WaitChildren] ignores the process.
	Daemon bool
}

// Current describes this process: the main process, a worker of a pool, or a [Process]. In a worker
// it is valid from the start of the first task or Setup.
func Current() ProcessInfo { return current }

// Parent describes the process that started this one. It returns nil in the main process. A worker
// does not outlive its parent, so the parent is alive.
func Parent() *ProcessInfo {
	if parent == nil {
		return nil
	}
	p := *parent
	return &p
}

// Children returns the running children of this process, sorted by name. The children are its
// processes and the workers of its open pools.
func Children() []ProcessInfo {
	children.mu.Lock()
	defer children.mu.Unlock()
	var all []ProcessInfo
	for _, info := range children.procs {
		all = append(all, info)
	}
	for p := range children.pools {
		for _, w := range p.engine.Workers() {
			all = append(all, ProcessInfo{Name: w.Name, PID: w.PID})
		}
	}
	slices.SortFunc(all, func(a, b ProcessInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// WaitChildren waits for the end of every [Process] of this process that is not a daemon, including
// processes that are started while it waits. It does not wait for pools. If ctx ends first, it
// returns ctx's error. Because children end with their parent, a main that wants to wait for its
// children calls WaitChildren last.
func WaitChildren(ctx context.Context) error {
	for {
		p := children.someone()
		if p == nil {
			return nil
		}
		select {
		case <-p.Done():
		case <-ctx.Done():
			return cause.Of(ctx)
		}
	}
}

var (
	current = ProcessInfo{Name: "main", PID: os.Getpid()}
	parent  *ProcessInfo
	started atomic.Int64 // number of children named by default
)

// children holds the running processes and open pools that this process has started.
var children family

// ending is a Process with any type of result.
type ending interface{ Done() <-chan struct{} }

type family struct {
	mu    sync.Mutex
	procs map[ending]ProcessInfo
	pools map[*Pool]bool
}

func (f *family) add(p ending, info ProcessInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.procs == nil {
		f.procs = map[ending]ProcessInfo{}
	}
	f.procs[p] = info
}

func (f *family) remove(p ending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.procs, p)
}

func (f *family) addPool(p *Pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pools == nil {
		f.pools = map[*Pool]bool{}
	}
	f.pools[p] = true
}

func (f *family) removePool(p *Pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pools, p)
}

// someone returns a process for WaitChildren to wait for, or nil if there is none.
func (f *family) someone() ending {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, info := range f.procs {
		if !info.Daemon {
			return p
		}
	}
	return nil
}

// nextName returns a name for the next child that shows its lineage.
func nextName() string {
	n := strconv.FormatInt(started.Add(1), 10)
	if parent == nil {
		return "worker-" + n
	}
	return current.Name + ":" + n
}
