//go:build linux

package sys

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lingering returns a socket with unread data. Closing the socket would linger for a long time.
func lingering(t *testing.T) (fd int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}

	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}

	for err == nil {
		_, err = unix.Write(fd, make([]byte, 1<<16))
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 10_000}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// A Closer must not wait for a lingering socket, and it must close everything that comes after it.
func TestCloserDoesNotLinger(t *testing.T) {
	var c Closer
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	c.Close(lingering(t), -1)
	c.CloseThen(lingering(t), func() { close(done) })
	c.CloseFile(f)
	c.CloseFile(os.NewFile(uintptr(lingering(t)), "lingering"))
	select {
	case <-c.Idle():
	case <-time.After(20 * time.Second):
		t.Fatal("it lingers")
	}

	<-done
	if n := c.Pending(); n != 0 {
		t.Errorf("%d are left", n)
	}
	if err := f.Close(); err == nil {
		t.Error("the file was not closed")
	}
	<-c.Idle() // also returns if there is nothing to close
}

// Sockets in the queue of a closed socket cannot be told not to linger. They may delay a Closer
// only for a moment.
func TestCloserDoesNotLingerWithin(t *testing.T) {
	within := func() (outer int) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			fd := lingering(t)
			if err := unix.Sendmsg(pair[1], []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
				t.Fatal(err)
			}
			_ = unix.Close(fd)
		}
		_ = unix.Close(pair[1])
		return pair[0]
	}

	var c Closer
	c.Close(within())
	c.CloseFile(os.NewFile(uintptr(within()), "outer"))
	select {
	case <-c.Idle():
	case <-time.After(20 * time.Second):
		t.Fatal("it lingers")
	}
}

// A pidfd of a child or grandchild is accepted. Pidfds of other processes, and descriptors that are
// not pidfds, cause an error.
func TestDescends(t *testing.T) {
	shell := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	shell.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Kill(-shell.Process.Pid, unix.SIGKILL); _ = shell.Wait() }()

	buf := make([]byte, 20)
	n, _ := out.Read(buf)
	grandchild := 0
	for _, c := range buf[:n] {
		if c >= '0' && c <= '9' {
			grandchild = 10*grandchild + int(c-'0')
		}
	}
	me := must(t)(NumberOf(pidfd(t, os.Getpid())))
	for _, pid := range []int{shell.Process.Pid, grandchild} {
		if _, err := Descends(pidfd(t, pid), me); err != nil {
			t.Errorf("process %d: %v", pid, err)
		}
	}

	for _, fd := range []int{pidfd(t, os.Getpid()), pidfd(t, os.Getppid()), 0, -1} {
		if n, err := Descends(fd, me); err == nil {
			t.Errorf("process %d is taken for a child", n)
		}
	}
	child := pidfd(t, shell.Process.Pid)
	_ = unix.Kill(-shell.Process.Pid, unix.SIGKILL)
	_ = shell.Wait()
	if n, err := Descends(child, me); err == nil {
		t.Errorf("process %d, which is gone, is taken for a child", n)
	}
}

func pidfd(t *testing.T, pid int) int {
	t.Helper()
	fd := must(t)(unix.PidfdOpen(pid, 0))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func must(t *testing.T) func(n int, err error) int {
	return func(n int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}
