package sys

import (
	"sync"

	"golang.org/x/sys/unix"
)

// A Closer closes descriptors that came from another process, which may have made them so
// that closing takes long: a TCP socket that lingers, a file of a file system that does not
// answer. It is safe for concurrent use; the zero value is ready. It has a goroutine as
// long as there is something to close.
type Closer struct {
	mu   sync.Mutex
	fds  []int
	busy bool
}

// Close has descriptors closed, and does not wait for that.
func (c *Closer) Close(fds ...int) {
	if len(fds) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fds = append(c.fds, fds...)
	if !c.busy {
		c.busy = true
		go c.run()
	}
}

func (c *Closer) run() {
	for {
		c.mu.Lock()
		if len(c.fds) == 0 {
			c.busy = false
			c.mu.Unlock()
			return
		}
		fd := c.fds[0]
		c.fds = c.fds[1:]
		c.mu.Unlock()
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{}) // an error if it is no socket
		_ = unix.Close(fd)
	}
}

// Rights returns the descriptors of a control message.
func Rights(control []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for i := range messages {
		if f, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, f...)
		}
	}
	return fds
}
