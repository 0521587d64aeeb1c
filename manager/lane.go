package manager

import (
	"context"
	"slices"
	"sync"
)

// A lane is for clients that have goroutines of their own and ask for a lot. It admits one of them
// at a time, so that however many there are, together they do not keep the front from the store or
// from a processor. Processes take turns: a process does not get a larger share of the lane by
// having many connections.
type lane struct {
	mu      sync.Mutex
	busy    bool
	waiting map[uint64][]chan struct{} // by process; a client's channel is closed when it gets the lane
	turns   []uint64                   // processes whose clients wait, in order of their turns
}

// enter waits until the calling client has the lane, or until ctx ends.
func (l *lane) enter(ctx context.Context, process uint64) error {
	mine := l.join(process)
	if mine == nil {
		return nil
	}
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	if !l.forget(process, mine) {
		l.leave() // the lane was passed to it just then
	}
	return ctx.Err()
}

// join takes the lane and returns nil if the lane is free. If not, it returns a channel to wait
// for.
func (l *lane) join(process uint64) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy {
		l.busy = true
		return nil
	}
	if l.waiting == nil {
		l.waiting = map[uint64][]chan struct{}{}
	}
	if len(l.waiting[process]) == 0 {
		l.turns = append(l.turns, process)
	}
	mine := make(chan struct{})
	l.waiting[process] = append(l.waiting[process], mine)
	return mine
}

// forget removes a client from the waiters, and reports whether the client was still waiting.
func (l *lane) forget(process uint64, mine chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.waiting[process]
	i := slices.Index(all, mine)
	if i < 0 {
		return false
	}
	if l.waiting[process] = slices.Delete(all, i, i+1); len(l.waiting[process]) == 0 {
		delete(l.waiting, process)
		l.turns = slices.DeleteFunc(l.turns, func(p uint64) bool { return p == process })
	}
	return true
}

// leave passes the lane to the next client.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turns) == 0 {
		l.busy = false
		return
	}

	process := l.turns[0]
	l.turns = l.turns[1:]
	all := l.waiting[process]
	next := all[0]
	if all = all[1:]; len(all) > 0 {
		l.waiting[process] = all
		l.turns = append(l.turns, process)
	} else {
		delete(l.waiting, process)
	}

	close(next)
}

// debts counts, by process, the bytes of later answers that clients have not read.
type debts struct {
	mu sync.Mutex
	by map[uint64]int
}

// add adds n bytes for a process and returns the process's total.
func (d *debts) add(process uint64, n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[uint64]int{}
	}
	if d.by[process] += n; d.by[process] == 0 {
		delete(d.by, process)
	}
	return d.by[process]
}
