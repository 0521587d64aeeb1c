//go:build linux

package crew

import (
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// connection is a worker's to the broker, from our side: a socket that nobody serves
// until the worker asks for that.
type connection struct {
	asked  atomic.Bool
	closer sys.Closer // of our end: a worker may have sent descriptors, though nobody receives them
	mu     sync.Mutex
	ours   int // -1: served, or closed
	child  share.Child
	over   bool
}

// once returns a function whose first call runs f in a goroutine.
func (b *connection) once(f func()) func() {
	return func() {
		if !b.asked.Swap(true) {
			go f()
		}
	}
}

// served has the worker's socket served, once it has asked for that. Its parent, if
// that is not the root, must ask its own.
func (m *member) served() {
	m.broker.mu.Lock()
	end := m.broker.ours
	m.broker.ours = -1
	m.broker.mu.Unlock()
	if end < 0 {
		return
	}
	pidfd, err := m.proc.Pidfd()
	if err != nil {
		m.broker.closer.Close(end)
		return
	}
	child, err := share.Adopt(end, pidfd, m.proc.Done())
	if err != nil {
		return // the worker sees its socket closed
	}
	m.broker.mu.Lock()
	m.broker.child = child
	over := m.broker.over
	m.broker.mu.Unlock()
	if over {
		child.Depart()
	}
}

// close says that all that the dead worker sent has been looked at.
func (b *connection) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	b.over = true
	if b.ours >= 0 {
		b.closer.Close(b.ours)
		b.ours = -1
	}
	if b.child != nil {
		b.child.Depart()
	}
}
