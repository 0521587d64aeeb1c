//go:build linux

package link

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mostQueued is how many bytes may wait to be written to a worker. A message that
// is larger is admitted alone.
const mostQueued = 256 << 10

var (
	// errQueueFull is returned for a note to a worker that has not read those before it.
	errQueueFull = errors.New("the worker does not read what it is sent")

	errStuck = errors.New("it has stopped reading what it is sent")
)

// An outbox is what is on its way to a worker over the socket. A worker need not
// read: whoever posts a note does not wait for it, and of a worker that takes no byte
// while as much waits as may, the owner of the link is told.
//
// Messages are written in the order in which they were admitted, by one goroutine at
// a time: one that sends, and so waits anyway, or one of the outbox's own, which there
// is only while something waits.
type outbox struct {
	sock *os.File
	raw  syscall.RawConn

	mu      sync.Mutex
	turn    sync.Cond // signals that the queue is shorter, or that nobody writes
	queue   [][]byte  // admitted, not written
	bytes   int       // of these, and of what is being written
	short   bool      // somebody was refused, or waits, since the queue was empty
	writing bool
	failed  error

	// Of the watch over a worker that does not read.
	limit   time.Duration // how long it may take no byte; 0: for ever
	onStuck func(error)
	timer   *time.Timer
	due     time.Time // when the timer is to look
	watched bool
	moved   uint64 // bytes that the socket has taken
	before  sighted
}

// sighted is what the watch saw last.
type sighted struct {
	moved  uint64
	unread int
}

func (o *outbox) init(sock *os.File) (err error) {
	o.sock, o.turn.L = sock, &o.mu
	o.raw, err = sock.SyscallConn()
	return err
}

// watch has onStuck called, once, when the worker takes no byte for so long although
// there is no more room. It is called before anything is sent.
func (o *outbox) watch(limit time.Duration, onStuck func(error)) {
	o.limit, o.onStuck = limit, onStuck
}

func appendHead(b []byte, kind, seq uint32, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = binary.LittleEndian.AppendUint32(b, seq)
	return binary.LittleEndian.AppendUint64(b, uint64(n))
}

func (o *outbox) hasRoom(n int) bool { return o.bytes == 0 || o.bytes+n <= mostQueued }

// post has a message sent and does not wait. A message for which there is no room is
// not sent: the error is errQueueFull then.
func (o *outbox) post(kind, seq uint32, body []byte) error {
	message := append(appendHead(make([]byte, 0, headSize+len(body)), kind, seq, len(body)), body...)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.failed != nil:
		return o.failed
	case !o.hasRoom(len(message)):
		o.lacksRoom()
		return errQueueFull
	}
	o.queue = append(o.queue, message)
	o.bytes += len(message)
	if !o.writing {
		o.writing = true
		go o.writeQueue()
	}
	o.watchIfFull()
	return nil
}

// send sends a message, and returns when the socket has taken it. It does not copy
// the body.
func (o *outbox) send(kind, seq uint32, body []byte) error {
	n := headSize + len(body)
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.failed == nil && (o.writing || !o.hasRoom(n)) {
		o.lacksRoom()
		o.turn.Wait()
	}
	if o.failed != nil {
		return o.failed
	}
	o.writing = true
	o.bytes += n
	o.watchIfFull()
	o.mu.Unlock()
	err := o.write(appendHead(nil, kind, seq, len(body)), body)
	o.mu.Lock()
	o.wrote(n, err)
	if len(o.queue) > 0 && o.failed == nil {
		go o.writeQueue()
	} else {
		o.writing = false
	}
	o.turn.Broadcast()
	return err
}

// writeQueue writes what is in the queue until that is empty.
func (o *outbox) writeQueue() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && o.failed == nil {
		message := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		err := o.write(message)
		o.mu.Lock()
		o.wrote(len(message), err)
	}
	o.writing = false
	o.turn.Broadcast()
}

// wrote notes how writing n bytes went; under the lock.
func (o *outbox) wrote(n int, err error) {
	if o.bytes -= n; o.bytes == 0 {
		o.short = false
	}
	if err != nil && o.failed == nil {
		o.failed, o.queue = err, nil
	}
}

// lacksRoom notes that somebody has found none; under the lock.
func (o *outbox) lacksRoom() {
	o.short = true
	o.watchIfFull()
}

func (o *outbox) full() bool { return o.short || o.bytes >= mostQueued }

// write writes to the socket, and waits for room in it.
func (o *outbox) write(parts ...[]byte) error {
	for _, b := range parts {
		for len(b) > 0 {
			n, err := o.writeSome(b)
			if err != nil {
				return err
			}
			b = b[n:]
			o.mu.Lock()
			o.moved += uint64(n)
			o.mu.Unlock()
		}
	}
	return nil
}

// writeSome writes as much of b as there is room for, at least a byte.
func (o *outbox) writeSome(b []byte) (n int, err error) {
	werr := o.raw.Write(func(fd uintptr) bool {
		n, err = ignoringEINTR(func() (int, error) { return unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_NOSIGNAL) })
		return !errors.Is(err, syscall.EAGAIN)
	})
	switch {
	case werr != nil:
		return 0, werr
	case err == nil && n == 0:
		return 0, io.ErrShortWrite
	}
	return n, err
}

// watchIfFull begins to look whether the worker takes something, while as much waits as
// may; under the lock.
func (o *outbox) watchIfFull() {
	if o.watched || o.limit == 0 || !o.full() {
		return
	}
	o.watched, o.before, o.due = true, o.sight(), time.Now().Add(o.limit)
	if o.timer == nil {
		o.timer = time.AfterFunc(o.limit, o.look)
	} else {
		o.timer.Reset(o.limit)
	}
}

// look is the timer's. If it comes much too late, this process was stopped, or had no processor, and the worker
// with it, as in a container that is paused: that says nothing about the worker.
func (o *outbox) look() {
	o.mu.Lock()
	o.watched = false
	if o.failed != nil || !o.full() {
		o.mu.Unlock()
		return
	}
	now := o.sight()
	if now.moved != o.before.moved || now.unread < o.before.unread || time.Since(o.due) > o.limit/4 {
		o.watchIfFull()
		o.mu.Unlock()
		return
	}
	o.mu.Unlock()
	o.onStuck(errStuck)
}

// sight tells what the socket has taken, and how much of that the worker has not; under
// the lock.
func (o *outbox) sight() sighted {
	s := sighted{moved: o.moved}
	_ = o.raw.Control(func(fd uintptr) { s.unread, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return s
}

// close ends what waits, and all that is sent later.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote(0, os.ErrClosed)
	if o.timer != nil {
		o.timer.Stop()
	}
	o.turn.Broadcast()
}
