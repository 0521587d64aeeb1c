package segments

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// Operations. All messages have the same size; some have a descriptor.
const (
	opWelcome = 1 + iota // server: id is the client's slot, size its tag; the segments with the mailboxes and the roster
	opPublish            // client: publishes the segment id of size bytes, with its descriptor
	opFetch              // client: asks for the descriptor of segment id; ok: of file id
	opDrop               // client: no longer has segment id
	opDestroy            // client: ends its segment id for all processes
	opTake               // client: takes segment id from a child that owns it
	opAdopt              // client: asks to serve a child at its end of a socket; opPidfd follows
	opPidfd              // client: the child's pidfd, after opAdopt
	opDepart             // client: nothing more that its child id sent will be read
	opKeep               // client: messages in segment size need segment id; ok: as Owned; arena: as Message
	opRelease            // client: undoes opKeep; ok: ends the segment, too
	opReply              // server: answers the request with that number; ok: it succeeded
	opGone               // server: segment id was destroyed, or its message has ended
)

type message struct {
	op    uint8
	ok    bool
	arena bool
	req   uint32
	id    uint64
	size  uint64
	fd    int // -1 if there is none
	also  int // opWelcome: the second descriptor
}

const (
	messageSize = 24
	// maxRights is the kernel's limit on the number of descriptors in a message. If there were room
	// for fewer, the kernel would close the rest during the receive, which could take a long time.
	maxRights = 253
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

// A conn is a socket that preserves message boundaries and uses the runtime's poller. Only one
// goroutine may receive at a time.
type conn struct {
	file   *os.File
	raw    syscall.RawConn
	rights []byte
	closer *sys.Closer // closes descriptors that arrive on the socket
}

// newConn returns a conn for a socket, of which it takes ownership.
func newConn(fd int, closer *sys.Closer) (*conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		closer.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	unix.CloseOnExec(fd)
	c := &conn{file: os.NewFile(uintptr(fd), "mp-broker"), rights: make([]byte, unix.CmsgSpace(4*maxRights)), closer: closer}
	var err error
	c.raw, err = c.file.SyscallConn()
	return c, err
}

// send sends a message with its descriptors. The caller still owns the descriptors.
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

// receive waits for a message. The caller owns the message's descriptor.
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

// isSocket reports whether a descriptor is an end of a Pair. The descriptor may be of any kind.
func isSocket(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return false
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && kind == unix.SOCK_SEQPACKET
}

// Pair creates a socket for a child that is about to be started. It returns this process's end and
// the child's.
func Pair() (ours, theirs int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return pair[0], pair[1], nil
}
