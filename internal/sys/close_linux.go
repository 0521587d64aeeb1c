package sys

import (
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Closer closes descriptors that came from another process in a goroutine of its own, since that
// process decides how long closing takes: the descriptor may be a lingering connection, or a file in a
// file system that a program serves. The goroutine lives only while there is something to close. Use one
// Closer for each such process, so that none waits for another. The zero value is ready to use. A Closer
// is safe for concurrent use.
type Closer struct {
	mu      sync.Mutex
	queue   []closing
	pending int // in queue, and the one being closed
	running bool
	idle    chan struct{} // closed when nothing is left; nil if no goroutine waits for that
}

// closing is a descriptor or a file to close, and a function to call afterwards.
type closing struct {
	fd   int
	file io.Closer
	done func()
}

// Close takes over descriptors, which the goroutine closes. It never blocks.
func (c *Closer) Close(fds ...int) {
	for _, fd := range fds {
		c.add(closing{fd: fd})
	}
}

// CloseThen is Close for one descriptor. The goroutine calls done once the descriptor is closed.
func (c *Closer) CloseThen(fd int, done func()) { c.add(closing{fd: fd, done: done}) }

// CloseFile takes over a file, such as a socket with unreceived messages that carry descriptors. It never
// blocks.
func (c *Closer) CloseFile(f io.Closer) { c.CloseFileThen(f, nil) }

// CloseFileThen is CloseFile. The goroutine calls done once the file is closed.
func (c *Closer) CloseFileThen(f io.Closer, done func()) {
	c.add(closing{fd: -1, file: f, done: done})
}

// Pending returns how many descriptors are not closed yet.
func (c *Closer) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}

// Idle returns a channel that is closed when nothing is left to close.
func (c *Closer) Idle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.settle()
	return idle
}

// settle closes idle if nothing is left; under the lock.
func (c *Closer) settle() {
	if c.pending == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

func (c *Closer) add(what closing) {
	if what.fd < 0 && what.file == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, what)
	c.pending++
	if !c.running {
		c.running = true
		go c.run()
	}
}

func (c *Closer) run() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.running, c.queue = false, nil
			c.mu.Unlock()
			return
		}
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()

		next.close()

		c.mu.Lock()
		c.pending--
		c.settle()
		c.mu.Unlock()
	}
}

func (w closing) close() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer interrupt(unix.Gettid())()
	if w.file != nil {
		if c, ok := w.file.(syscall.Conn); ok {
			if raw, err := c.SyscallConn(); err == nil {
				_ = raw.Control(func(fd uintptr) { notLinger(int(fd)) })
			}
		}
		_ = w.file.Close()
	} else {
		notLinger(w.fd)
		_ = unix.Close(w.fd)
	}
	if w.done != nil {
		w.done()
	}
}

// notLinger has a socket not wait for its peer when it is closed. For what is no socket this is an error.
func notLinger(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
}

// dawdles is how long the system may wait for another process when it closes a descriptor.
const dawdles = 100 * time.Millisecond

// interrupt has a thread that still waits after a while go on: the wait for the peer of a socket ends with a
// signal, and the system goes on with that connection by itself. Such a socket may lie where nobody can
// receive it, in the queue of one that is closed, and say that it lingers for a day. The signal is the one
// with which the runtime preempts goroutines, which programs are prepared for. The function that is
// returned ends that.
func interrupt(thread int) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	over := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(dawdles, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			timer.Reset(dawdles)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// Rights returns the descriptors in a control message.
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
