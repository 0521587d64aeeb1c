//go:build linux

package link

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lingering returns a TCP socket. Closing its last descriptor waits for a peer that does not read.
func lingering(t *testing.T) int {
	t.Helper()
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: peer.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}

	_ = unix.SetNonblock(fd, true)
	for {
		if _, err := unix.Write(fd, make([]byte, 65536)); err != nil {
			break
		}
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 10000}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// A descriptor that arrives on the socket must end the connection, and closing the descriptor must
// not delay anything. This holds for many descriptors, for a lingering socket, for a descriptor
// that is sent out of band, and for a descriptor in a message that is never read.
func TestDescriptorsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ n, flags int }{"one": {1, 0}, "many": {250, 0}, "out of band": {1, unix.MSG_OOB}} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t)
			worker := workerSocket(t, l)
			fds := []int{lingering(t)}
			for len(fds) < c.n {
				fds = append(fds, int(worker.Fd()))
			}

			message := append(head(msgLog, 0, 1), 0)
			if err := unix.Sendmsg(int(worker.Fd()), message, unix.UnixRights(fds...), nil, c.flags); err != nil {
				t.Fatal(err)
			}
			_ = unix.Close(fds[0])
			within(t, "the end of Serve", func() {
				err := l.Serve(Events{Log: func([]byte) { t.Error("it was believed") }}, testMessage)
				if !errors.Is(err, errGarbage) {
					t.Error(err)
				}
			})
			within(t, "a close", l.Close)
		})
	}

	t.Run("unread", func(t *testing.T) {
		l := newLink(t)
		worker := workerSocket(t, l)
		fd := lingering(t)
		if err := unix.Sendmsg(int(worker.Fd()), []byte("unread"), unix.UnixRights(fd), nil, 0); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
		begun := time.Now()
		within(t, "a close", l.Close)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("closing took %v", took)
		}
	})
}

// Once the worker is dead, another process that has the worker's socket must not keep Serve
// reading.
func TestNothingComesAfterDeath(t *testing.T) {
	l := newLink(t)
	worker := workerSocket(t, l)
	go func() {
		for {
			if _, err := worker.Write(append(head(msgLog, 0, 1), 0)); errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
				return
			}
		}
	}()

	served := make(chan error, 1)
	heard := make(chan struct{}, 1)
	go func() {
		served <- l.Serve(Events{Log: func([]byte) {
			select {
			case heard <- struct{}{}:
			default:
			}
		}}, testMessage)
	}()

	<-heard
	l.EndReading()
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Fatal("Serve goes on")
	}
}
