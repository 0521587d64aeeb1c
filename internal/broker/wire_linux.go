package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// Messages, of one size, with a descriptor beside some.
const (
	opWelcome = 1 + iota // server: id is the client's slot, size its tag; the segments with the mailboxes and the roster
	opPublish            // client: the segment id, of size bytes; its descriptor
	opFetch              // client: asks for the descriptor of segment id; ok: of file id
	opDrop               // client: it does not have segment id any more
	opDestroy            // client: nobody may have its segment id any more
	opTake               // client: the owner of segment id, a child of it, has given it that
	opAdopt              // client: a child's end of a socket is to be served; its pidfd follows
	opPidfd              // client: the pidfd to the opAdopt before
	opDepart             // client: nothing more of its child id will be met
	opKeep               // client: messages in segment size need segment id; ok: as Held; arena: as Message
	opRelease            // client: no more; ok: nobody does
	opReply              // server: to the request with that number, ok or not
	opGone               // server: segment id is destroyed, or was the client's own for a message, which has ended
)

type message struct {
	op    uint8
	ok    bool
	arena bool
	req   uint32
	id    uint64
	size  uint64
	fd    int // -1: none
	also  int // opWelcome: the second descriptor
}

const (
	messageSize = 24
	// mostRights is the kernel's limit of descriptors in a message. With room for fewer, the kernel would
	// close the rest while we receive, which could take long.
	mostRights = 253
)

var errGarbage = errors.New("the other side does not speak the protocol")

func (m message) encode() []byte {
	b := make([]byte, messageSize)
	b[0], b[1], b[2] = m.op, one(m.ok), one(m.arena)
	binary.LittleEndian.PutUint32(b[4:], m.req)
	binary.LittleEndian.PutUint64(b[8:], m.id)
	binary.LittleEndian.PutUint64(b[16:], m.size)
	return b
}

func one(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

// A conn is a socket that keeps the boundaries of messages, on the poller. One goroutine at a time
// receives.
type conn struct {
	file   *os.File
	raw    syscall.RawConn
	rights []byte
	closer *sys.Closer // for descriptors that arrive on it
}

// newConn takes over a socket.
func newConn(fd int, closer *sys.Closer) (*conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		closer.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	unix.CloseOnExec(fd)
	c := &conn{file: os.NewFile(uintptr(fd), "mp-broker"), rights: make([]byte, unix.CmsgSpace(4*mostRights)), closer: closer}
	var err error
	c.raw, err = c.file.SyscallConn()
	return c, err
}

// send sends a message with its descriptors, which stay the caller's.
func (c *conn) send(m message) error {
	var rights []byte
	switch {
	case m.op == opWelcome:
		rights = unix.UnixRights(m.fd, m.also)
	case m.fd >= 0:
		rights = unix.UnixRights(m.fd)
	}
	data := m.encode()
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		err = unix.EINTR
		for errors.Is(err, unix.EINTR) {
			err = unix.Sendmsg(int(fd), data, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	if werr != nil {
		return werr
	}
	return os.NewSyscallError("sendmsg", err)
}

// receive waits for a message. Its descriptor is the caller's.
func (c *conn) receive() (m message, err error) {
	rerr := c.raw.Read(func(fd uintptr) bool {
		m, err = c.receiveNow(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	})
	if rerr != nil {
		return message{fd: -1}, rerr
	}
	return m, err
}

// receiveNow receives a message, or returns EAGAIN if there is none.
func (c *conn) receiveNow(fd int) (m message, err error) {
	m.fd = -1
	var data [messageSize + 1]byte
	var n, nr int
	err = sys.Receive(func() (err error) {
		n, nr, _, _, err = unix.Recvmsg(fd, data[:], c.rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		return err
	})
	if err != nil {
		return m, err
	}
	fds := sys.Rights(c.rights[:nr])
	expected := len(fds) <= 1 || len(fds) == 2 && data[0] == opWelcome
	switch {
	case n == 0:
		c.closer.Close(fds...)
		return m, io.EOF
	case n != messageSize || !expected:
		c.closer.Close(fds...)
		return m, errGarbage
	}
	if len(fds) > 0 {
		m.fd, m.also = fds[0], fds[len(fds)-1]
	}
	m.op, m.ok, m.arena = data[0], data[1] != 0, data[2] != 0
	m.req = binary.LittleEndian.Uint32(data[4:])
	m.id = binary.LittleEndian.Uint64(data[8:])
	m.size = binary.LittleEndian.Uint64(data[16:])
	return m, nil
}

// isSocket reports whether a descriptor is an end of a Pair. It is safe for any descriptor.
func isSocket(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return false
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && kind == unix.SOCK_SEQPACKET
}

// Pair makes a socket for a child that is about to be started: our end, and the
// child's.
func Pair() (ours, theirs int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return pair[0], pair[1], nil
}
