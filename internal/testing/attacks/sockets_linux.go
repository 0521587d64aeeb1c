package attacks

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/xsync"
	"github.com/go-multiprocessing/mp/ipc"
)

// takeOver takes over one of the worker's sockets, so that the worker's runtime no longer uses it,
// and returns its descriptor.
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
	// The other end stays open, so that reading does not return an end of file.
	return own, unix.Dup3(pair[0], fd, unix.O_CLOEXEC)
}

// await waits until a descriptor is ready or ctx ends.
func await(ctx context.Context, fd int, events int16) error {
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if n, err := unix.Poll(fds, 20); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return ctx.Err()
}

// writeAll writes b to a descriptor, which may be non-blocking.
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

// say sends a message over the link.
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

// kindOf returns the number of a message kind of the link.
func kindOf(name string) uint32 {
	for _, m := range link.Messages() {
		if m.Name == name {
			return m.Kind
		}
	}
	panic("no message of the link's is called " + name)
}

// opOf returns the number of an operation of the segment server.
func opOf(name string) uint8 {
	for _, o := range segments.Operations() {
		if o.Name == name {
			return o.Op
		}
	}
	panic("no operation of the segment server's is called " + name)
}

// sendWith sends bytes together with descriptors.
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

// tell sends a message to the segment server.
func tell(ctx context.Context, fd int, op string, m segments.RawMessage, fds ...int) error {
	m.Op = opOf(op)
	return sendWith(ctx, fd, m.Encode(), fds...)
}

// answerOf waits for the segment server's answer to a request.
func answerOf(ctx context.Context, fd int, req uint32) (segments.RawMessage, error) {
	for {
		if err := await(ctx, fd, unix.POLLIN); err != nil {
			return segments.RawMessage{}, err
		}
		m, err := segments.ReceiveFrom(fd)
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

// server takes over the socket to the segment server, after the worker's runtime has used it.
func (v *victim) server(ctx context.Context) (int, error) {
	if err := v.Dict.Set(ctx, "x", 1); err != nil { // uses the socket
		return -1, err
	}
	var err error
	if v.tag, err = ownTag(); err != nil {
		return -1, err
	}
	return takeOver(brokerFD, unix.SOCK_SEQPACKET)
}

// ownTag returns the upper bits of the numbers of segments that this process may publish.
func ownTag() (uint64, error) {
	m, err := ipc.NewMutex()
	if err != nil {
		return 0, err
	}
	wire, err := m.MarshalBinary() // publishes its segment
	if err != nil {
		return 0, err
	}
	token, _, err := objects.ParseToken(wire, xsync.KindMutex)
	const bits = 64 - segments.TagBits
	return token.Segment >> bits << bits, err
}

// linkSocket takes over the link's socket.
func linkSocket() (int, error) { return takeOver(socketFD, unix.SOCK_STREAM) }

// lingering returns a TCP socket whose close waits for a peer that never reads.
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

// sparse returns a memory file that has a size but no allocated memory.
func sparse(size int64) (int, error) {
	fd, err := unix.MemfdCreate("sparse", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	return fd, unix.Ftruncate(fd, size)
}

// rest waits until the context of the attack's task ends.
func rest(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
