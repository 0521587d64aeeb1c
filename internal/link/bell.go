//go:build linux

package link

import (
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A bell wakes the other process. Who is about to sleep arms a word in shared
// memory; who has news takes the armed word and writes one byte to a pipe. So
// nothing is written to a process that is awake.
//
// A pipe, not a socket: its reader is not bothered by the buffer space that it
// frees, and the kernel wakes the reader on the writer's core, where the data
// is. That halves the round trip of a lone call.

var oneByte = []byte{1}

// A ringer is the end that rings.
type ringer struct {
	armed *uint32
	pipe  io.Writer
}

// ring wakes the listener if it sleeps or is about to.
func (r ringer) ring() error {
	if atomic.LoadUint32(r.armed) == 0 || !atomic.CompareAndSwapUint32(r.armed, 1, 0) {
		return nil
	}
	_, err := r.pipe.Write(oneByte)
	return err
}

// A listener is the parent's end that sleeps. Only one goroutine at a time may
// wait.
type listener struct {
	armed  *uint32
	raw    syscall.RawConn
	self   *os.File // the other end, for kick
	unread bool     // a byte may be in the pipe from before
	kicked atomic.Bool
	buf    [64]byte

	// Of the wait under way.
	look   func(fd uintptr) bool
	news   func() bool
	fresh  bool
	failed error
}

// arm announces sleep. Without news it returns true; otherwise the listener is
// not to sleep.
func (l *listener) arm(news func() bool) bool {
	atomic.StoreUint32(l.armed, 1)
	if !news() {
		return true
	}
	l.unread = !atomic.CompareAndSwapUint32(l.armed, 1, 0) || l.unread
	return false
}

// wait sleeps on the poller until the bell rings, news is true, or kick. It may
// return early.
func (l *listener) wait(news func() bool) error {
	if l.look == nil {
		l.look = l.tryRead // a closure for each wait would be an allocation
	}
	l.news, l.fresh, l.failed = news, true, nil
	if err := l.raw.Read(l.look); err != nil {
		return err
	}
	return l.failed
}

// tryRead is called by the poller's Read, at first and whenever there may be
// something to read; false says that there is not.
func (l *listener) tryRead(fd uintptr) (done bool) {
	if l.fresh {
		l.fresh = false
		// Armed only here, after the poller was reset: whatever is
		// written from now on wakes us, so there is no need to try a
		// read that would find nothing.
		if !l.arm(l.news) {
			return true
		}
		if !l.unread && !l.kicked.Load() {
			return false
		}
	}
	done, l.failed = l.empty(int(fd))
	return done
}

// empty reads what is in the pipe; false if that is nothing.
func (l *listener) empty(fd int) (bool, error) {
	l.kicked.Store(false) // first: a kick from now on writes again
	n, err := syscall.Read(fd, l.buf[:])
	l.unread = false
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return false, nil
	case err == nil && n == 0:
		return true, io.EOF
	}
	return true, err
}

// block is wait with the calling thread asleep in the kernel, not on the
// poller: two system calls and a switch of threads less, at the price of the
// thread.
func (l *listener) block(news func() bool) error {
	var failed error
	err := l.raw.Control(func(fd uintptr) {
		if !l.arm(news) {
			return
		}
		if l.unread {
			if done, err := l.empty(int(fd)); done || err != nil {
				failed = err
				return
			}
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); err != unix.EINTR {
				break
			}
		}
		_, failed = l.empty(int(fd))
	})
	if err == nil {
		err = failed
	}
	return err
}

// kick makes the present or the next wait return. It is safe for concurrent use
// and never blocks: there is one byte of its in the pipe at most. The flag also
// tells a wait that is about to begin, whose poller may have forgotten the byte.
func (l *listener) kick() {
	if !l.kicked.Swap(true) {
		_, _ = l.self.Write(oneByte)
	}
}

// A sleeper is the worker's end that sleeps: in a blocking read, since a worker
// has one such goroutine and nothing better to do with the thread.
type sleeper struct {
	armed *uint32
	fd    int
	buf   [64]byte
}

// wait sleeps until the bell rings or news is true. It may return early; io.EOF
// says that the parent is gone.
func (s *sleeper) wait(news func() bool) error {
	atomic.StoreUint32(s.armed, 1)
	if news() && atomic.CompareAndSwapUint32(s.armed, 1, 0) {
		return nil
	}
	n, err := syscall.Read(s.fd, s.buf[:])
	switch {
	case err == syscall.EINTR:
		return nil
	case err == nil && n == 0:
		return io.EOF
	}
	return err
}

// fdWriter writes to a descriptor that stays open as long as the process.
type fdWriter int

func (w fdWriter) Write(b []byte) (int, error) { return syscall.Write(int(w), b) }
