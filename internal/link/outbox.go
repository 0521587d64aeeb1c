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

// maxQueued is how many bytes may wait to be written to a worker. A larger message is admitted only
// if the queue is empty.
const maxQueued = 256 << 10

var (
	// errQueueFull is returned for a message if the queue is full.
	errQueueFull = errors.New("the worker does not read what it is sent")

	errStuck = errors.New("it has stopped reading what it is sent")
)

// An outbox holds the messages that wait to be sent to a worker over the socket. The method post
// does not wait for the worker, which may not be reading. If the worker reads nothing for some time
// while the queue is full, the outbox tells the owner of the link.
//
// Messages are written in the order in which they were admitted, by one goroutine at a time: either
// a caller of send, which waits anyway, or a goroutine of the outbox, which exists only while
// messages wait.
type outbox struct {
	sock *os.File
	raw  syscall.RawConn

	mu      sync.Mutex
	turn    sync.Cond // signals that a goroutine has stopped writing
	queue   [][]byte  // admitted but not written
	bytes   int       // total in the queue and in the message being written
	short   bool      // there was no room for a message since the queue was last empty
	writing bool
	failed  error

	// The fields below are for watch.

	// limit is how long the worker may go without reading, in addition to growing's result. Zero
	// means forever.
	limit   time.Duration
	onStuck func(error)
	timer   *time.Timer
	allowed time.Duration // the timer's duration
	due     time.Time     // when the timer should fire
	watched bool
	moved   uint64 // bytes that the socket has accepted
	before  sighted
}

// sighted is the progress that the timer saw last.
type sighted struct {
	moved  uint64
	unread int
}

func (o *outbox) init(sock *os.File) (err error) {
	o.sock, o.turn.L = sock, &o.mu
	o.raw, err = sock.SyscallConn()
	return err
}

// watch implements Link.Watch.
func (o *outbox) watch(limit time.Duration, onStuck func(error)) {
	o.limit, o.onStuck = limit, onStuck
}

func appendHead(b []byte, kind, seq uint32, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = binary.LittleEndian.AppendUint32(b, seq)
	return binary.LittleEndian.AppendUint64(b, uint64(n))
}

func (o *outbox) hasRoom(n int) bool { return o.bytes == 0 || o.bytes+n <= maxQueued }

// post queues a message. It does not block. If there is no room, it returns errQueueFull and does
// not send the message.
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

// send sends a message and returns when the socket has accepted it. It does not copy the body.
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

// writeQueue writes messages until the queue is empty.
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

// wrote records the outcome of writing n bytes. The caller must hold o.mu.
func (o *outbox) wrote(n int, err error) {
	if o.bytes -= n; o.bytes == 0 {
		o.short = false
	}
	if err != nil && o.failed == nil {
		o.failed, o.queue = err, nil
	}
}

// lacksRoom notes that there was no room for a message. The caller must hold o.mu.
func (o *outbox) lacksRoom() {
	o.short = true
	o.watchIfFull()
}

func (o *outbox) full() bool { return o.short || o.bytes >= maxQueued }

// write writes to the socket. It waits for room.
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

// writeSome waits for room and writes as much of b as fits, at least one byte.
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

// watchIfFull starts the timer if the queue is full. The caller must hold o.mu.
func (o *outbox) watchIfFull() {
	if o.watched || o.limit == 0 || !o.full() {
		return
	}
	o.allowed = o.limit + growing(o.bytes)
	o.watched, o.before, o.due = true, o.sight(), time.Now().Add(o.allowed)
	if o.timer == nil {
		o.timer = time.AfterFunc(o.allowed, o.checkReader)
	} else {
		o.timer.Reset(o.allowed)
	}
}

// growing returns the extra time that a worker may take to read when many bytes are in transit. The
// worker needs memory for a whole message, and copies the received part to ever larger buffers, up
// to a gigabyte. That can take seconds on a slow or busy machine.
func growing(bytes int) time.Duration {
	// Dividing first avoids an overflow.
	return time.Duration(bytes>>10) * time.Second / (grownPerSecond >> 10)
}

const grownPerSecond = 16 << 20

// checkReader checks whether the worker reads. The timer calls it. If the call comes much too late,
// the check says nothing about the worker: this process was stopped or had no processor, and the
// same may be true of the worker, as in a paused container.
func (o *outbox) checkReader() {
	o.mu.Lock()
	o.watched = false
	if o.failed != nil || !o.full() {
		o.mu.Unlock()
		return
	}
	now := o.sight()
	if now.moved != o.before.moved || now.unread < o.before.unread || time.Since(o.due) > o.allowed/4 {
		o.watchIfFull()
		o.mu.Unlock()
		return
	}
	o.watched = true // once is enough
	o.mu.Unlock()
	o.onStuck(errStuck)
}

// sight returns how much data the socket has accepted, and how much of that the worker has not
// read. The caller must hold o.mu.
func (o *outbox) sight() sighted {
	s := sighted{moved: o.moved}
	_ = o.raw.Control(func(fd uintptr) { s.unread, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return s
}

// close makes waiting and later calls of send and post fail.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote(0, os.ErrClosed)
	if o.timer != nil {
		o.timer.Stop()
	}
	o.turn.Broadcast()
}
