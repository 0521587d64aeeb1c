//go:build linux

package link

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// maxUnclaimed limits how many bytes of results are read from the socket before the results'
// records have been collected.
const maxUnclaimed = 64 << 20

// An inbox is the receiving side of the socket. Serve reads from it. The inbox keeps payloads until
// they are claimed.
//
// A worker sends a payload before it commits the record of the result. So if a reader has seen the
// record and then finds the socket empty, the payload will never arrive.
type inbox struct {
	sock *os.File
	raw  syscall.RawConn

	rights []byte
	closer sys.Closer

	mu        sync.Mutex
	cond      sync.Cond
	payloads  map[uint32][]byte
	unclaimed int
	wanted    int    // number of claims that wait
	emptied   uint64 // how many times the socket was found empty
	draining  bool   // the worker is dead: an empty socket is the end
	ended     bool   // the socket is no longer read
}

func (b *inbox) init() {
	b.payloads = map[uint32][]byte{}
	b.cond.L = &b.mu
}

// Read reads from the socket. It waits while the socket is empty. If a descriptor arrives with the
// bytes, Read returns an error, because mp's workers do not send descriptors over this socket.
func (b *inbox) Read(p []byte) (n int, err error) {
	for {
		werr := b.raw.Read(func(fd uintptr) bool {
			n, err = ignoringEINTR(func() (int, error) { return b.receive(int(fd), p) })
			if !errors.Is(err, syscall.EAGAIN) {
				return true
			}
			err = io.EOF
			return b.empty()
		})
		if errors.Is(werr, os.ErrDeadlineExceeded) {
			_ = b.sock.SetReadDeadline(time.Time{}) // poked: check again
			continue
		}

		switch {
		case werr != nil:
			return 0, werr
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// maxRights is SCM_MAX_FD, the maximum number of descriptors in a message. If there were room for
// fewer, the kernel would close the surplus descriptors during the read, which can take arbitrarily
// long: a TCP socket can linger.
const maxRights = 253

var errRights = fmt.Errorf("%w: a descriptor where none belongs", errGarbage)

// receive reads without waiting.
func (b *inbox) receive(fd int, p []byte) (int, error) {
	if b.rights == nil {
		b.rights = make([]byte, unix.CmsgSpace(4*maxRights))
	}
	n, nr, _, _, err := unix.Recvmsg(fd, p, b.rights, unix.MSG_CMSG_CLOEXEC)
	if nr > 0 {
		b.closer.Close(sys.Rights(b.rights[:nr])...)
		return 0, errRights
	}
	return max(n, 0), err
}

// empty notes that the socket is empty, and reports whether no more data can arrive.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.emptied++
	b.cond.Broadcast()
	return b.draining
}

// poke makes a waiting Read check again.
func (b *inbox) poke() { _ = b.sock.SetReadDeadline(time.Unix(1, 0)) }

// shut keeps further data from arriving. This is necessary because a process that a dead worker
// left behind may hold the other end and send forever.
func (b *inbox) shut() {
	_ = b.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// unread returns how many bytes in the socket have not been read.
func (b *inbox) unread() (n int) {
	_ = b.raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}

// drain makes Read end when the socket is empty.
func (b *inbox) drain() {
	b.shut()
	b.mu.Lock()
	b.draining = true
	b.cond.Broadcast()
	b.mu.Unlock()
	b.poke()
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.cond.Broadcast()
}

// keep stores a payload for claim. It waits while too many bytes are unclaimed.
func (b *inbox) keep(seq uint32, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unclaimed += len(body) - len(b.payloads[seq]) // a repeated payload counts once
	b.payloads[seq] = body
	b.cond.Broadcast()
	if len(b.payloads) > slots {
		return errGarbage
	}
	for !b.draining && b.unclaimed > maxUnclaimed && len(b.payloads) > 1 {
		if b.wanted > 0 {
			return errGarbage // the claimed payload should have arrived long ago
		}
		b.cond.Wait()
	}
	return nil
}

// claim returns the payload of a committed record. It reports false if the payload never arrived.
func (b *inbox) claim(seq uint32) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if body, ok := b.take(seq); ok {
		return body, true
	}
	b.wanted++
	defer func() { b.wanted-- }()

	b.cond.Broadcast()
	// The read that next finds the socket empty may have begun before the worker committed the
	// record, so the first such read does not count.
	first := b.emptied
	for poked := uint64(0); ; {
		if body, ok := b.take(seq); ok {
			return body, true
		}

		tries := b.emptied - first
		if b.ended || tries >= 2 {
			return nil, false
		}
		if poked <= tries {
			poked++
			b.poke()
		}
		b.cond.Wait()
	}
}

func (b *inbox) take(seq uint32) ([]byte, bool) {
	body, ok := b.payloads[seq]
	if ok {
		delete(b.payloads, seq)
		b.unclaimed -= len(body)
		b.cond.Broadcast()
	}
	return body, ok
}

func ignoringEINTR(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
