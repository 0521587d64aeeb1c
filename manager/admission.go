package manager

import (
	"fmt"
	"sync"
)

// admission counts the connections from this tree of processes. A connection counts from its
// admission until the manager has cleaned up after it.
type admission struct {
	most, each int // in all, and from one process

	mu  sync.Mutex
	all int
	by  map[uint64]int // by the number of the process that made them
}

// admit admits one more connection from a process. The connection counts until leave is called. The
// error is ErrLimit.
func (a *admission) admit(process uint64) (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.by[process] >= a.each:
		return nil, fmt.Errorf("%w: this process has %d connections, and Limits.Connections is %d", ErrLimit, a.by[process], a.each)
	case a.all >= a.most:
		return nil, fmt.Errorf("%w: there are %d connections, and Limits.Clients is %d", ErrLimit, a.all, a.most)
	}
	if a.by == nil {
		a.by = map[uint64]int{}
	}
	a.all++
	a.by[process]++
	return func() { a.leave(process) }, nil
}

func (a *admission) leave(process uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all--
	if a.by[process]--; a.by[process] == 0 {
		delete(a.by, process)
	}
}
