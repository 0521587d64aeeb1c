//go:build linux

package broker

import (
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// sleeper is a process that a client has adopted. It sleeps, in a session of its own.
type sleeper struct {
	Child
	cmd   *exec.Cmd
	ended chan error
}

// adoptSleeper starts a process and has a client adopt it. The process ends with the test.
func (p *process) adoptSleeper() (*sleeper, error) {
	t := p.w.t
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(theirs)
	s := &sleeper{cmd: exec.Command("sleep", "1000"), ended: make(chan error, 1)}
	s.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	pidfd, err := unix.PidfdOpen(s.cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Child, err = p.Adopt(ours, pidfd, nil)
	return s, err
}

// A pidfd without a socket before it is closed once. Closed again later, with the garbage, it would take another
// descriptor with it that has got its number.
func TestPidfdsAreClosedOnce(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	child, err := p.adoptSleeper()
	if err != nil {
		t.Fatal(err)
	}
	const many = 20
	for range many {
		pidfd, err := unix.PidfdOpen(child.cmd.Process.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := p.ask(message{op: opPidfd, fd: pidfd}); err != nil || m.ok {
			t.Fatal("adopted without a socket: ", err)
		}
		_ = unix.Close(pidfd)
	}
	c := w.client(p.Remote)
	until(t, "they are closed", func() bool { return c.closer.Pending() == 0 })
	var fds []int
	file := null(t)
	for range 2 * many { // which get their numbers
		fds = append(fds, dupOf(t, file))
	}
	for range 2 {
		collected := make(chan struct{})
		runtime.SetFinalizer(&[16]int{}, func(*[16]int) { close(collected) })
		until(t, "the garbage is collected", func() bool {
			runtime.GC()
			select {
			case <-collected:
				return true
			default:
				return false
			}
		})
	}
	for _, fd := range fds {
		if err := unix.Close(fd); err != nil {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
}

// client returns the server's side of a client.
func (w *world) client(r *Remote) *client {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.clients[r.Lot().Slot()]
}
