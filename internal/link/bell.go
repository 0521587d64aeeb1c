package link

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A bell wakes the other process. Who is about to sleep arms a word in shared
// memory; who has news takes the armed word and writes one byte to a pipe. So
// nothing is written to a process that is awake.
//
// A pipe, not a socket: its reader is not bothered by the buffer space that it
// frees, and the kernel wakes the reader on the writer's core, where the data
// is. That halves the round trip of a lone call.

// A ringer is the end that rings.
type ringer struct {
	armed *uint32
	pipe  *os.File
}

// ring wakes the listener if it sleeps or is about to.
func (r ringer) ring() error {
	if atomic.LoadUint32(r.armed) == 0 || !atomic.CompareAndSwapUint32(r.armed, 1, 0) {
		return nil
	}
	_, err := r.pipe.Write([]byte{1})
	return err
}

// A listener is the end that sleeps. Only one goroutine at a time may wait.
type listener struct {
	armed  *uint32
	pipe   *os.File
	raw    syscall.RawConn
	unread bool // a byte may be in the pipe from before
	kicked atomic.Bool
	buf    [64]byte
}

func newListener(armed *uint32, pipe *os.File) (*listener, error) {
	raw, err := pipe.SyscallConn()
	return &listener{armed: armed, pipe: pipe, raw: raw}, err
}

// wait sleeps until the bell rings, news() is true, or kick. It may return
// early; io.EOF says that nobody is left to ring.
func (l *listener) wait(news func() bool) error {
	if l.kicked.Load() {
		return l.unkick()
	}
	var failed error
	first := true
	err := l.raw.Read(func(fd uintptr) bool {
		if first {
			first = false
			// Armed only here, after the poller was reset: whatever is
			// written from now on wakes us, so there is no need to try a
			// read that would find nothing.
			atomic.StoreUint32(l.armed, 1)
			if news() {
				l.unread = !atomic.CompareAndSwapUint32(l.armed, 1, 0) || l.unread
				return true
			}
			if !l.unread {
				return false
			}
		}
		n, err := syscall.Read(int(fd), l.buf[:])
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			return false
		case err != nil:
			failed = err
		case n == 0:
			failed = io.EOF
		}
		l.unread = false
		return true
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.unread = true
		return l.unkick()
	}
	return errors.Join(failed, err)
}

func (l *listener) unkick() error {
	l.kicked.Store(false)
	return l.pipe.SetReadDeadline(time.Time{})
}

// kick makes the present or the next wait return. It is safe for concurrent use.
func (l *listener) kick() {
	l.kicked.Store(true)
	_ = l.pipe.SetReadDeadline(time.Unix(1, 0))
}
