//go:build linux

package pool

import (
	"sync"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// connection is the parent's end of a worker's connection for shared segments. The connection is a
// socket that is not served until the worker asks for it.
type connection struct {
	asked atomic.Bool
	// closer closes our end off the hot path, because the worker may have sent descriptors that
	// were never received.
	closer sys.Closer
	mu     sync.Mutex
	ours   int // our end of the socket; -1 if it is served or closed
	child  objects.Child
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

// served starts to serve the worker's socket. It is called after the worker has asked for that. If
// this process is not the root, it passes the worker's requests on to its own parent.
func (w *worker) served() {
	w.broker.mu.Lock()
	end := w.broker.ours
	w.broker.ours = -1
	w.broker.mu.Unlock()
	if end < 0 {
		return
	}

	pidfd, err := w.proc.Pidfd()
	if err != nil {
		w.broker.closer.Close(end)
		return
	}

	child, err := objects.Adopt(end, pidfd, w.proc.Done())
	if err != nil {
		return // the worker notices that its socket is closed
	}

	w.broker.mu.Lock()
	w.broker.child = child
	over := w.broker.over
	w.broker.mu.Unlock()
	if over {
		child.Depart()
	}
}

// close notes that everything that the dead worker sent has been read.
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
