//go:build linux

package link

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A doorbell wakes the other process. A process that is about to sleep arms a word in shared
// memory. The process that has news disarms the word and, if the word was armed, writes one byte to
// a pipe. So a process that is awake is sent nothing.
//
// The doorbell is a pipe rather than a socket, because reading from a pipe causes no event about
// freed buffer space, and because the kernel wakes a pipe's reader on the writer's core, where the
// data is. That halves the round-trip time of a lone call.

var oneByte = []byte{1}

// A ringer is the end of a doorbell that rings.
type ringer struct {
	armed  *uint32
	writer doorbellWriter
}

// ring wakes the process at the other end if that process sleeps or is about to. It never blocks.
func (r ringer) ring() error {
	if atomic.LoadUint32(r.armed) == 0 || !atomic.CompareAndSwapUint32(r.armed, 1, 0) {
		return nil
	}
	return r.writer.write()
}

// A doorbellWriter writes the byte to the pipe. It writes nothing if the pipe is full, because then
// the doorbell has already rung.
type doorbellWriter interface{ write() error }

// pipeWriter is the parent's doorbellWriter. It writes to an open file description of its own,
// whose flags no worker can change. It does not use the poller, because the poller would wait for
// room: a worker can fill the pipe, or leave it to a process that never reads.
type pipeWriter struct {
	raw       syscall.RawConn
	writeByte func(fd uintptr) // made once: a closure for each ring would be allocated
	broken    atomic.Bool
}

func newPipeWriter(f *os.File) (*pipeWriter, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &pipeWriter{raw: raw}
	r.writeByte = func(fd uintptr) {
		if _, err := syscall.Write(int(fd), oneByte); err == syscall.EPIPE {
			r.broken.Store(true)
		}
	}
	return r, nil
}

func (r *pipeWriter) write() error {
	if err := r.raw.Control(r.writeByte); err != nil {
		return err
	}
	if r.broken.Load() {
		return syscall.EPIPE
	}
	return nil
}

// fdWriter is the worker's doorbellWriter. Its descriptor stays open until the process ends.
type fdWriter int

func (r fdWriter) write() error {
	_, err := syscall.Write(int(r), oneByte)
	return err
}

// A listener is the parent's end of the doorbell that the worker rings. Only one goroutine at a
// time may wait.
type listener struct {
	armed  *uint32
	file   *os.File
	raw    syscall.RawConn
	unread bool // the pipe may still contain a byte of an earlier ring
	buf    [1024]byte

	// kicked is set by kick. A kick does not use the pipe, because the worker, or a process that it
	// left behind, can read every byte from the pipe.
	kicked  atomic.Bool
	blocked atomic.Bool // block sleeps or is about to
	alarm   *os.File    // an eventfd that wakes block

	// The fields below belong to the current wait.
	tryReadFunc func(fd uintptr) bool
	news        func() bool
	fresh       bool
	failed      error
}

// newListener creates a listener. It takes over pipe, the read end of the doorbell's pipe, and
// alarm, an eventfd.
func newListener(armed *uint32, pipe, alarm *os.File) (*listener, error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &listener{armed: armed, file: pipe, raw: raw, alarm: alarm}
	l.tryReadFunc = l.tryRead // made once: a closure for each wait would be allocated
	return l, nil
}

// arm announces that the listener will sleep. It returns false if there is news; in that case, the
// listener must not sleep.
func (l *listener) arm(news func() bool) bool {
	atomic.StoreUint32(l.armed, 1)
	if !news() {
		return true
	}
	l.unread = !atomic.CompareAndSwapUint32(l.armed, 1, 0) || l.unread
	return false
}

// wait sleeps on the poller until the doorbell rings, news returns true, or kick is called. It may
// return early.
func (l *listener) wait(news func() bool) error {
	l.news, l.fresh, l.failed = news, true, nil
	err := l.raw.Read(l.tryReadFunc)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // a kick
		_ = l.file.SetReadDeadline(time.Time{})
		l.kicked.Store(false) // last, so that a kick from now on sets the deadline again
		return nil
	case err != nil:
		return err
	}
	return l.failed
}

// tryRead is the callback of the poller's Read. Read calls it at once and then whenever there may
// be something to read. If there is nothing to read, tryRead returns false.
func (l *listener) tryRead(fd uintptr) (done bool) {
	if l.fresh {
		l.fresh = false
		// Arm only here, after the poller was reset. Bytes that are written from now on wake this
		// goroutine, so there is no need for a read that would find nothing.
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

// maxRead limits the number of reads in empty, so that a worker that keeps filling the pipe does
// not keep empty busy.
const maxRead = 64

// empty reads all bytes in the pipe. It returns false if there was neither a byte nor a kick.
func (l *listener) empty(fd int) (bool, error) {
	kicked := l.kicked.Swap(false) // first, so that a kick from now on counts again
	l.unread = false
	for i := range maxRead {
		n, err := syscall.Read(fd, l.buf[:])
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			return kicked || i > 0, nil
		case err == nil && n == 0:
			return true, io.EOF
		case err != nil || n < len(l.buf):
			return true, err
		}
	}
	return true, nil
}

// block is like wait, but the calling thread sleeps in the kernel instead of the goroutine on the
// poller. This saves two system calls and a thread switch, but occupies the thread.
func (l *listener) block(news func() bool) error {
	var failed error
	err := l.raw.Control(func(fd uintptr) {
		l.blocked.Store(true) // before kicked is read: a later kick writes to the eventfd
		defer l.blocked.Store(false)
		if !l.arm(news) {
			return
		}
		if l.unread || l.kicked.Load() {
			if done, err := l.empty(int(fd)); done || err != nil {
				failed = err
				return
			}
		}
		l.sleepOn(int(fd))
		_, failed = l.empty(int(fd))
	})
	if err == nil {
		err = failed
	}

	return err
}

// sleepOn sleeps until the pipe or the eventfd is readable, and resets the eventfd.
func (l *listener) sleepOn(pipe int) {
	raw, err := l.alarm.SyscallConn()
	if err != nil {
		return
	}

	_ = raw.Control(func(alarm uintptr) {
		fds := []unix.PollFd{{Fd: int32(pipe), Events: unix.POLLIN}, {Fd: int32(alarm), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); err != unix.EINTR {
				break
			}
		}
		if fds[1].Revents != 0 {
			var count [8]byte
			_, _ = syscall.Read(int(alarm), count[:])
		}
	})
}

// kick makes the current or the next wait return. It is safe for concurrent use and never blocks.
func (l *listener) kick() {
	if l.kicked.Swap(true) {
		return
	}
	if l.blocked.Load() {
		l.sound()
		return
	}
	_ = l.file.SetReadDeadline(time.Unix(1, 0))
}

// sound wakes block by writing to the eventfd.
func (l *listener) sound() {
	if raw, err := l.alarm.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = syscall.Write(int(fd), []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	}
}

// A sleeper is the worker's end of the doorbell that the parent rings. It sleeps in a blocking
// read, because only one goroutine of a worker sleeps this way, and the worker has no other use for
// the thread.
type sleeper struct {
	armed *uint32
	fd    int
	buf   [64]byte
}

// wait sleeps until the doorbell rings or news returns true. It may return early. The error is
// io.EOF if the parent is gone.
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
