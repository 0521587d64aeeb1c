package spawn

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// family is the set of processes that this process has started. While the set is not empty, the
// guard and the thread that starts processes are kept. The thread is kept because the kernel ties a
// child's parent-death signal to the thread that started it.
var family parenthood

type parenthood struct {
	mu       sync.Mutex
	children int                         // including holds
	requests atomic.Pointer[chan func()] // nil while there is no starting thread
	stopped  chan struct{}
	guard    guardian
}

// start runs f, which starts one child, on the starting thread.
func (p *parenthood) start(f func() error) error {
	p.mu.Lock()
	p.children++
	requests := p.requests.Load()
	if requests == nil {
		ch := make(chan func())
		requests = &ch
		p.requests.Store(requests)
		p.stopped = make(chan struct{})
		go startingThread(ch, p.stopped)
	}
	p.mu.Unlock()

	result := make(chan error, 1)
	*requests <- func() { result <- f() }
	err := <-result
	if err != nil {
		p.release()
	}
	return err
}

// Hold keeps the guard and the starting thread, once they exist, until Release is called, even
// while there is no process. A caller that replaces the last process thus need not wait while the
// guard and the thread end and are started again.
func Hold() {
	family.mu.Lock()
	defer family.mu.Unlock()
	family.children++
}

// Release ends a Hold.
func Release() { family.release() }

func startingThread(requests <-chan func(), stopped chan<- struct{}) {
	runtime.LockOSThread()
	defer close(stopped)
	defer runtime.UnlockOSThread()
	for f := range requests {
		f()
	}
}

// release drops one child or hold. After the last child or hold, it ends the guard and the thread
// and waits until both have ended.
func (p *parenthood) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children--
	if p.children > 0 {
		return
	}
	p.guard.end()
	if requests := p.requests.Swap(nil); requests != nil {
		close(*requests)
		<-p.stopped
	}
}

// inTurn runs f on the starting thread after the starts that are waiting. Only the guardian may
// call it, because release waits for the guardian before it ends the thread.
func (p *parenthood) inTurn(f func()) {
	done := make(chan struct{})
	*p.requests.Load() <- func() { f(); close(done) }
	<-done
}
