//go:build linux

package broker

import (
	"os/exec"
	"runtime"
	"testing"
	"time"

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

// A living child is killed when its parent dies, also if the parent has said that it has departed.
func TestDepartedChildrenAreKilled(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	var children []*sleeper
	for range 3 {
		c, err := p.adoptSleeper()
		if err != nil {
			t.Fatal(err)
		}
		c.Depart()
		children = append(children, c)
	}
	p.die()
	for _, c := range children {
		select {
		case <-c.ended:
		case <-time.After(never):
			t.Fatal("it lives")
		}
	}
	until(t, "all are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
}

// A living child counts, also if its parent has said that it has departed; one that is dead and has departed does
// not.
func TestDepartedChildrenCount(t *testing.T) {
	w := newWorld(t)
	w.s.mu.Lock()
	w.s.slots = budget{most: 20, reserve: 4}
	most := w.s.slots.alone()
	w.s.mu.Unlock()
	p, other := w.start(), w.start()
	var children []*sleeper
	for range 20 {
		c, err := p.adoptSleeper()
		if err != nil {
			break
		}
		c.Depart()
		children = append(children, c)
	}
	if n := len(children); n == 0 || n > most {
		t.Fatalf("%d children: it may have %d", n, most)
	}
	if _, err := other.adoptSleeper(); err != nil {
		t.Errorf("nothing is left for another: %v", err)
	}
	for _, c := range children {
		_ = c.cmd.Process.Kill()
	}
	until(t, "they are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 3 })
	if _, err := p.adoptSleeper(); err != nil {
		t.Errorf("the dead count: %v", err)
	}
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
