//go:build linux

package pool

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/objects"
)

// A worker can send descriptors for shared segments without asking that its socket be served. Such
// descriptors are never received, and reaping the worker must not wait until they are closed.
func TestUnservedSocketDoesNotLinger(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = peer.SetWriteDeadline(time.Now().Add(time.Second))
	for err == nil {
		_, err = peer.Write(make([]byte, 1<<16))
	}
	f, err := peer.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	if err := unix.SetsockoptLinger(int(f.Fd()), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 10_000}); err != nil {
		t.Fatal(err)
	}

	ours, theirs, err := objects.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(theirs, make([]byte, 24), unix.UnixRights(int(f.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	_ = unix.Close(theirs)

	c := connection{ours: ours}
	closed := make(chan struct{})
	go func() {
		c.close()
		close(closed)
	}()
	for _, done := range []<-chan struct{}{closed, c.closer.Idle()} {
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("it lingers")
		}
	}
}
