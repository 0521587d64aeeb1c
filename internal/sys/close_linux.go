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

// A Closer closes descriptors that came from another process. It closes them on a goroutine of its
// own, because the other process decides how long closing takes: the descriptor may be a lingering
// connection, or a file in a file system that a program serves. The goroutine exists only while
// there is something to close. Use one Closer for each sending process, so that no process waits
// for another. The zero value is ready to use. A Closer is safe for concurrent use.
type Closer struct {
	mu      sync.Mutex
	queue   []closing
	pending int // in queue, plus the one being closed
	running bool
	idle    chan struct{} // closed when nothing is left to close; nil if no caller waits for that
}

// closing is a descriptor or a file to close, and a function to call afterward.
type closing struct {
	fd   int
	file io.Closer
	done func()
}

// Close takes over descriptors and closes them on the goroutine. It never blocks.
func (c *Closer) Close(fds ...int) {
	for _, fd := range fds {
		c.add(closing{fd: fd})
	}
}

// CloseThen is like Close, but for one descriptor. The goroutine calls done after closing it.
func (c *Closer) CloseThen(fd int, done func()) { c.add(closing{fd: fd, done: done}) }

// CloseFile takes over a file, such as a socket with unread messages that carry descriptors. It
// never blocks.
func (c *Closer) CloseFile(f io.Closer) { c.CloseFileThen(f, nil) }

// CloseFileThen is like CloseFile, but the goroutine calls done after closing the file.
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

// settle closes idle if nothing is left to close. The caller must hold c.mu.
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

// notLinger disables lingering, so that closing a socket does not wait for its peer. It has no
// effect on other files.
func notLinger(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
}

// dawdles is how long a close may wait for another process.
const dawdles = 100 * time.Millisecond

// interrupt keeps a thread from waiting in close for long: it sends the thread a signal each time
// dawdles has passed. The signal ends the wait for a socket's peer, and the system finishes that
// connection by itself. This is necessary because the queue of the closed socket may contain a
// socket that lingers for a day, where notLinger cannot reach it. The signal is the one with which
// the runtime preempts goroutines, because programs are prepared for it. The returned function
// stops the interruptions.
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
