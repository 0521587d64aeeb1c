package connection

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
)

// ErrTooLong is returned by each Recv after the arrival of a message that is longer than this end's
// Config.MaxMessage. The connection has ended. The Send of the message may have succeeded.
var ErrTooLong = mp.RegisterError(errors.New("connection: a message longer than Config.MaxMessage"))

// socket is the transport of a connection. Each message is sent as its length (eight bytes)
// followed by its content. A goroutine reads one message ahead, so that a context can end the wait
// for a message without leaving the message half read.
type socket struct {
	conn    net.Conn
	most    int
	onClose func()

	sending chan struct{} // holds an element while a goroutine is sending
	closing sync.Once
	closed  chan struct{}

	mu    sync.Mutex
	next  []byte        // the message that was read
	err   error         // why there will be no more messages
	there chan struct{} // closed while next or err is set
	taken chan struct{} // tells the reader to continue
}

const lengthSize = 8

func newSocket(c net.Conn, most int, onClose func()) *socket {
	s := &socket{
		conn: c, most: most, onClose: onClose,
		sending: make(chan struct{}, 1), closed: make(chan struct{}), there: make(chan struct{}), taken: make(chan struct{}, 1),
	}
	go s.read()
	return s
}

// read reads messages until the connection ends.
func (s *socket) read() {
	in := bufio.NewReaderSize(s.conn, 16<<10)
	for {
		b, err := s.readMessage(in)
		s.mu.Lock()
		s.next, s.err = b, err
		close(s.there)
		s.mu.Unlock()
		if err != nil {
			return
		}

		select {
		case <-s.taken:
		case <-s.closed:
			return
		}
	}
}

func (s *socket) readMessage(in *bufio.Reader) ([]byte, error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, cutOff(err, io.EOF)
	}
	n := binary.BigEndian.Uint64(head[:])
	if n > uint64(s.most) {
		_ = s.conn.Close()
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrTooLong, n, s.most)
	}
	b, err := readN(in, int(n))
	if err != nil {
		return nil, cutOff(err, io.ErrUnexpectedEOF)
	}
	return b, nil
}

// firstAlloc is how many bytes are allocated for a message before any of it has arrived.
const firstAlloc = 64 << 10

// readN reads n bytes. It allocates memory as the bytes arrive: at most twice as much as has
// arrived, and half as much again while it copies to a larger buffer.
func readN(in io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, firstAlloc))
	for at := 0; ; {
		if _, err := io.ReadFull(in, b[at:]); err != nil || len(b) == n {
			return b, err
		}
		at = len(b)
		grown := make([]byte, min(n, 2*at))
		copy(grown, b)
		b = grown
	}
}

// cutOff returns end if err is the end of the stream, and err otherwise. When a peer closes a
// socket with unread data, the connection is reset, so a reset is an end as well.
func cutOff(err, end error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return end
	}
	return err
}

// Recv implements ipc.Transport.
func (s *socket) Recv(ctx context.Context, buf []byte) ([]byte, error) {
	for {
		s.mu.Lock()
		there, b := s.there, s.next
		switch {
		case s.isClosed():
			s.mu.Unlock()
			return buf, mp.ErrClosed
		case b != nil:
			s.next, s.there = nil, make(chan struct{})
			s.mu.Unlock()
			s.taken <- struct{}{}
			return append(buf, b...), nil
		case s.err != nil:
			err := s.err
			s.mu.Unlock()
			return buf, err
		}

		s.mu.Unlock()
		select {
		case <-there:
		case <-s.closed:
		case <-ctx.Done():
			return buf, cause.Of(ctx)
		}
	}
}

// Ready implements ipc.Transport.
func (s *socket) Ready() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there
}

// Send implements ipc.Transport. If the context ends when the message is partly sent, Send closes
// the connection.
func (s *socket) Send(ctx context.Context, b []byte) error {
	select {
	case s.sending <- struct{}{}:
	case <-s.closed:
		return mp.ErrClosed
	case <-ctx.Done():
		return cause.Of(ctx)
	}

	defer func() { <-s.sending }()
	n, err := s.writeUntil(ctx, b)
	switch {
	case err == nil:
		return nil
	case s.isClosed():
		return mp.ErrClosed
	case ctx.Err() != nil && n == 0 && !s.encrypted():
		return cause.Of(ctx)
	}
	_ = s.conn.Close() // the other side may have a part of the message
	if ctx.Err() != nil {
		return cause.Of(ctx)
	}

	return fmt.Errorf("%w: %w", io.ErrClosedPipe, err)
}

// encrypted reports whether the connection uses TLS. A TLS connection does not report partial
// writes, and sends nothing more after an interrupted write.
func (s *socket) encrypted() bool {
	_, yes := s.conn.(*tls.Conn)
	return yes
}

// writeUntil writes a message, and stops when the context ends.
func (s *socket) writeUntil(ctx context.Context, b []byte) (n int64, err error) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	n, err = s.write(b)
	if !stop() {
		<-interrupted
		_ = s.conn.SetWriteDeadline(time.Time{})
	}
	return n, err
}

func (s *socket) write(b []byte) (int64, error) {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, lengthSize+small), uint64(len(b)))
	if len(b) <= small {
		n, err := s.conn.Write(append(head, b...))
		return int64(n), err
	}
	parts := net.Buffers{head, b}
	return parts.WriteTo(s.conn)
}

// small is the maximum size of a message that is copied, to be written together with its length.
const small = 4 << 10

func (s *socket) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Close implements ipc.Transport.
func (s *socket) Close() (err error) {
	s.closing.Do(func() {
		close(s.closed)
		err = s.conn.Close()
		s.onClose()
	})
	return err
}
