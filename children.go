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

// children are the processes that this one has started and that have not ended.
var children family

// ending is a process of whatever result.
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

// Children returns the running children of this process, processes and the
// workers of its open pools, in the order of their names.
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

// WaitChildren waits for the end of every [Process] of this process that is no
// daemon, those that are started meanwhile included, or returns the context's
// error. Since children end with their parent, a main that wants to wait for them
// calls this last. It does not wait for pools.
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

// ProcessInfo describes a process: this one, its parent or a child.
type ProcessInfo struct {
	Name   string // of the main process "main"; of others the lineage, with a count of starts and not the worker's number
	PID    int
	Daemon bool
}

var (
	current = ProcessInfo{Name: "main", PID: os.Getpid()}
	parent  *ProcessInfo
	started atomic.Int64 // children that were named
)

// Current describes this process: the main one, a worker of a pool or a
// [Process]. In a worker it is valid once its task or setup runs.
func Current() ProcessInfo { return current }

// Parent describes the process that started this one; nil in the main process.
// A worker does not outlive its parent, so the parent is alive.
func Parent() *ProcessInfo {
	if parent == nil {
		return nil
	}
	p := *parent
	return &p
}

// nextName shows the lineage.
func nextName() string {
	n := strconv.FormatInt(started.Add(1), 10)
	if parent == nil {
		return "worker-" + n
	}
	return current.Name + ":" + n
}
