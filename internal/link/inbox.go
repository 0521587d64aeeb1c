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

// maxUnclaimed is how many bytes of results over the socket are read before
// their records have been collected.
const maxUnclaimed = 64 << 20

// An inbox is what comes over the socket: it reads for Serve, and keeps the
// payloads until they are claimed.
//
// A worker sends a payload before it commits the record that it belongs to. So
// who has seen the record and finds the socket empty knows that the payload
// will never come.
type inbox struct {
	sock *os.File
	raw  syscall.RawConn

	rights []byte
	closer sys.Closer

	mu        sync.Mutex
	cond      sync.Cond
	payloads  map[uint32][]byte
	unclaimed int
	wanted    int    // claims that wait
	emptied   uint64 // how often the socket was found empty
	draining  bool   // the worker is dead: empty is the end
	ended     bool   // nobody reads any more
}

func (b *inbox) init() {
	b.payloads = map[uint32][]byte{}
	b.cond.L = &b.mu
}

// Read reads from the socket, and waits while it is empty. It returns an error if a descriptor
// arrives with the bytes, since mp's workers send none there.
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
			_ = b.sock.SetReadDeadline(time.Time{}) // poked: look again
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

// mostRights is SCM_MAX_FD, the kernel's limit of descriptors in a message. With room for
// fewer, the kernel would close the rest while we read, however long that takes: a TCP socket
// can linger.
const mostRights = 253

var errRights = fmt.Errorf("%w: a descriptor where none belongs", errGarbage)

// receive reads without waiting.
func (b *inbox) receive(fd int, p []byte) (int, error) {
	if b.rights == nil {
		b.rights = make([]byte, unix.CmsgSpace(4*mostRights))
	}
	n, nr, _, _, err := unix.Recvmsg(fd, p, b.rights, unix.MSG_CMSG_CLOEXEC)
	if nr > 0 {
		b.closer.Close(sys.Rights(b.rights[:nr])...)
		return 0, errRights
	}
	return max(n, 0), err
}

// empty notes that the socket is, and reports whether that is the end.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.emptied++
	b.cond.Broadcast()
	return b.draining
}

// poke makes a Read that waits look again.
func (b *inbox) poke() { _ = b.sock.SetReadDeadline(time.Unix(1, 0)) }

// shut lets nothing more arrive. A process that a dead worker left behind may hold the other
// end, and send forever.
func (b *inbox) shut() {
	_ = b.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// unread returns how many bytes have not been read.
func (b *inbox) unread() (n int) {
	_ = b.raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}

// drain makes Read end where the socket is empty.
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

// keep holds a payload for claim and, when there are too many, waits.
func (b *inbox) keep(seq uint32, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unclaimed += len(body) - len(b.payloads[seq]) // one sent twice counts once
	b.payloads[seq] = body
	b.cond.Broadcast()
	if len(b.payloads) > slots {
		return errGarbage
	}
	for !b.draining && b.unclaimed > maxUnclaimed && len(b.payloads) > 1 {
		if b.wanted > 0 {
			return errGarbage // what is due is not among so many
		}
		b.cond.Wait()
	}
	return nil
}

// claim returns the payload of a record that has been committed; false if there
// is none.
func (b *inbox) claim(seq uint32) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if body, ok := b.take(seq); ok {
		return body, true
	}
	b.wanted++
	defer func() { b.wanted-- }()
	b.cond.Broadcast()
	// The first time that it is found empty may have been before the record.
	first := b.emptied
	for poked := uint64(0); ; {
		if body, ok := b.take(seq); ok {
			return body, true
		}
		looks := b.emptied - first
		if b.ended || looks >= 2 {
			return nil, false
		}
		if poked <= looks {
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
