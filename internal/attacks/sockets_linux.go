package attacks

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/broker"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/share"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// takeOver returns a socket of the worker's that its runtime does not hear or speak at any more.
func takeOver(fd, kind int) (int, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pair[0])
	return own, unix.Dup3(pair[0], fd, unix.O_CLOEXEC) // the other end stays open: no end of file
}

// await waits until a descriptor is ready, or ctx ends.
func await(ctx context.Context, fd int, events int16) error {
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if n, err := unix.Poll(fds, 20); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return ctx.Err()
}

// writeAll writes bytes to a descriptor, which may be non-blocking.
func writeAll(ctx context.Context, fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := await(ctx, fd, unix.POLLOUT); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			b = b[n:]
		}
	}
	return nil
}

// readAll fills b from a descriptor.
func readAll(ctx context.Context, fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := await(ctx, fd, unix.POLLIN); err != nil {
				return err
			}
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		default:
			b = b[n:]
		}
	}
	return nil
}

// say sends a message of the link's.
func say(ctx context.Context, fd int, kind, seq uint32, body []byte) error {
	return writeAll(ctx, fd, append(link.MessageHead(kind, seq, uint64(len(body))), body...))
}

// hear waits for the parent's next message.
func hear(ctx context.Context, fd int) (kind, seq uint32, err error) {
	head := make([]byte, len(link.MessageHead(0, 0, 0)))
	if err := readAll(ctx, fd, head); err != nil {
		return 0, 0, err
	}
	body := make([]byte, binary.LittleEndian.Uint64(head[8:]))
	return binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:]), readAll(ctx, fd, body)
}

// kindOf is the number of a message of the link's.
func kindOf(name string) uint32 {
	for _, m := range link.Messages() {
		if m.Name == name {
			return m.Kind
		}
	}
	panic("no message of the link's is called " + name)
}

// opOf is the number of an operation of the segment server's.
func opOf(name string) uint8 {
	for _, o := range broker.Operations() {
		if o.Name == name {
			return o.Op
		}
	}
	panic("no operation of the segment server's is called " + name)
}

// sendWith sends bytes with descriptors beside them.
func sendWith(ctx context.Context, fd int, b []byte, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(fd, b, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.EAGAIN) {
			return err
		}
		if err := await(ctx, fd, unix.POLLOUT); err != nil {
			return err
		}
	}
}

// tell sends the segment server a message.
func tell(ctx context.Context, fd int, op string, m broker.RawMessage, fds ...int) error {
	m.Op = opOf(op)
	return sendWith(ctx, fd, m.Encode(), fds...)
}

// answerOf waits for the segment server's answer to a request.
func answerOf(ctx context.Context, fd int, req uint32) (broker.RawMessage, error) {
	for {
		if err := await(ctx, fd, unix.POLLIN); err != nil {
			return broker.RawMessage{}, err
		}
		m, err := broker.ReceiveFrom(fd)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return m, err
		}
		if err == nil && m.Op == opOf("reply") && m.Req == req {
			return m, nil
		}
		if err == nil && m.FD >= 0 {
			_ = unix.Close(m.FD)
		}
	}
}

// server takes the socket to the segment server over, which the worker's runtime has made use of.
func (v *victim) server(ctx context.Context) (int, error) {
	if err := v.Dict.Set(ctx, "x", 1); err != nil { // it is in use by now
		return -1, err
	}
	var err error
	if v.tag, err = ownTag(); err != nil {
		return -1, err
	}
	return takeOver(brokerFD, unix.SOCK_SEQPACKET)
}

// ownTag is what the upper bits of the numbers are of the segments that this process may publish.
func ownTag() (uint64, error) {
	m, err := mp.NewMutex(mp.ObjectConfig{})
	if err != nil {
		return 0, err
	}
	wire, err := m.MarshalBinary() // which publishes it
	if err != nil {
		return 0, err
	}
	token, _, err := share.ParseToken(wire, xsync.KindMutex)
	const bits = 64 - broker.TagBits
	return token.Segment >> bits << bits, err
}

// linkSocket takes the link's socket over.
func linkSocket() (int, error) { return takeOver(socketFD, unix.SOCK_STREAM) }

// lingering is a TCP socket whose close waits for a peer that never reads.
func (v *victim) lingering() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: v.Silent, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return -1, err
	}
	for junk := make([]byte, 65536); ; {
		if _, err := unix.Write(fd, junk); err != nil {
			break
		}
	}
	const seconds = 60
	return fd, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: seconds})
}

// sparse is a memory file of a size that costs nothing.
func sparse(size int64) (int, error) {
	fd, err := unix.MemfdCreate("sparse", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	return fd, unix.Ftruncate(fd, size)
}

// rest is for what a task does when it has done its worst: it stays until its context ends.
func rest(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
