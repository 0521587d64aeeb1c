package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Messages, of one size, with a descriptor beside some.
const (
	opWelcome = 1 + iota // server: id is the client's slot; the segments with the mailboxes and the roster
	opPublish            // client: the segment id, of size bytes; its descriptor
	opFetch              // client: the descriptor of segment id, please
	opDrop               // client: it does not have segment id any more
	opDestroy            // client: nobody may have its segment id any more
	opTake               // client: the owner of segment id, a child of it, has given it that
	opAdopt              // client: a child's end of a socket is to be served; its pidfd follows
	opPidfd              // client: the pidfd to the opAdopt before
	opDepart             // client: nothing more of its child id will be met
	opKeep               // client: messages in segment size need segment id; ok: what is held
	opRelease            // client: no more; ok: nobody does
	opReply              // server: to the request with that number, ok or not
	opGone               // server: segment id is destroyed
)

type message struct {
	op    uint8
	ok    bool
	arena bool
	req   uint32
	id    uint64
	size  uint64
	fd    int   // -1: none
	also  []int // others that belong to it
}

const messageSize = 24

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

// A conn is a socket that keeps the boundaries of messages, on the poller.
type conn struct {
	file *os.File
	raw  syscall.RawConn
}

func newConn(fd int) (*conn, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	c := &conn{file: os.NewFile(uintptr(fd), "mp-broker")}
	var err error
	c.raw, err = c.file.SyscallConn()
	return c, err
}

// send sends a message with its descriptor, which stays the caller's.
func (c *conn) send(m message) error {
	var rights []byte
	if m.fd >= 0 {
		rights = unix.UnixRights(append([]int{m.fd}, m.also...)...)
	}
	data := m.encode()
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), data, rights, nil, unix.MSG_NOSIGNAL)
		for errors.Is(err, unix.EINTR) {
			err = unix.Sendmsg(int(fd), data, rights, nil, unix.MSG_NOSIGNAL)
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
		m, err = receive(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	})
	if rerr != nil {
		return message{fd: -1}, rerr
	}
	return m, err
}

func receive(fd int) (m message, err error) {
	m.fd = -1
	var data [messageSize + 1]byte
	rights := make([]byte, unix.CmsgSpace(4*4))
	n, nr, _, _, err := unix.Recvmsg(fd, data[:], rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	for errors.Is(err, unix.EINTR) {
		n, nr, _, _, err = unix.Recvmsg(fd, data[:], rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	}
	if err != nil {
		return m, err
	}
	fds := parseRights(rights[:nr])
	if n == messageSize && (len(fds) == 1 || len(fds) == 2 && data[0] == opWelcome) {
		m.fd, m.also = fds[0], fds[1:]
	} else {
		for _, f := range fds {
			_ = unix.Close(f)
		}
	}
	if n == 0 {
		return m, io.EOF
	}
	if n != messageSize {
		return m, errGarbage
	}
	m.op, m.ok, m.arena = data[0], data[1] != 0, data[2] != 0
	m.req = binary.LittleEndian.Uint32(data[4:])
	m.id = binary.LittleEndian.Uint64(data[8:])
	m.size = binary.LittleEndian.Uint64(data[16:])
	return m, nil
}

func parseRights(b []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(b)
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

// dup replaces the descriptors by duplicates, or by none if there cannot be any.
func (m *message) dup() bool {
	from := append([]int{m.fd}, m.also...)
	m.fd, m.also = -1, nil
	for i, fd := range from {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		switch {
		case err != nil:
			m.closeFD()
			m.fd, m.also = -1, nil
			return false
		case i == 0:
			m.fd = own
		default:
			m.also = append(m.also, own)
		}
	}
	return true
}

func (m message) closeFD() {
	if m.fd >= 0 {
		_ = unix.Close(m.fd)
	}
	for _, fd := range m.also {
		_ = unix.Close(fd)
	}
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
