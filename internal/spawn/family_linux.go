package spawn

import (
	"runtime"
	"sync"
)

// family is this process's set of started processes. While there are any, it
// holds the thread that starts them, since the kernel ties a child's
// parent-death signal to that thread, and the guard.
var family parenthood

type parenthood struct {
	mu       sync.Mutex
	children int
	requests chan func()
	stopped  chan struct{}
	guard    guardian
}

// start runs f, which starts one child, on the starting thread.
func (p *parenthood) start(f func() error) error {
	p.mu.Lock()
	p.children++
	if p.requests == nil {
		p.requests, p.stopped = make(chan func()), make(chan struct{})
		go startingThread(p.requests, p.stopped)
	}
	requests := p.requests
	p.mu.Unlock()

	result := make(chan error, 1)
	requests <- func() { result <- f() }
	err := <-result
	if err != nil {
		p.release()
	}
	return err
}

func startingThread(requests <-chan func(), stopped chan<- struct{}) {
	runtime.LockOSThread()
	defer close(stopped)
	defer runtime.UnlockOSThread()
	for f := range requests {
		f()
	}
}

// release forgets one child; after the last one the thread and the guard end,
// and it returns when they have.
func (p *parenthood) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children--
	if p.children > 0 {
		return
	}
	close(p.requests)
	<-p.stopped
	p.requests, p.stopped = nil, nil
	p.guard.end()
}
