//go:build linux

package segments

import (
	"net"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// lingering returns a socket whose close would linger for a long time.
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
	_ = unix.SetNonblock(fd, true)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 1<<16))
	}

	_ = unix.SetNonblock(fd, false)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 10_000}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// tell sends a message with descriptors, and closes them in this process.
func (p *process) tell(m message, fds ...int) {
	p.w.t.Helper()
	fd := p.end
	send := func() error { return unix.Sendmsg(fd, m.encode(), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL) }
	var err error
	if p.Remote == nil {
		err = send()
	} else {
		_ = p.conn.raw.Control(func(own uintptr) { fd = int(own); err = send() })
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
	for _, fd := range fds {
		_ = unix.Close(fd) // not the last close, unless the server has turned lingering off
	}
}

// A lingering socket delays neither the server nor the cleanup after the client that sent it, and
// is eventually closed. It may come in any message, alone or with others, read or unread.
func TestLingeringSockets(t *testing.T) {
	ways := map[string]func(p *process, tag uint64, fd int){
		"destroyed": func(p *process, tag uint64, fd int) {
			id := tag<<(64-TagBits) | 1
			p.tell(message{op: opPublish, id: id}, fd)
			p.tell(message{op: opDestroy, id: id})
		},
		"left":       func(p *process, tag uint64, fd int) { p.tell(message{op: opPublish, id: tag<<(64-TagBits) | 1}, fd) },
		"a segment":  func(p *process, tag uint64, fd int) { p.tell(message{op: opPublish, size: 4096, arena: true}, fd) },
		"not wanted": func(p *process, tag uint64, fd int) { p.tell(message{op: opDrop}, fd) },
		"a socket":   func(p *process, tag uint64, fd int) { p.tell(message{op: opAdopt}, fd) },
		"a process":  func(p *process, tag uint64, fd int) { p.tell(message{op: opPidfd}, fd) },
		"one of many": func(p *process, tag uint64, fd int) {
			p.tell(message{op: opPublish, id: 1}, null(p.w.t), null(p.w.t), fd)
		},
		"unread": func(p *process, tag uint64, fd int) {
			for range 3 * maxUnread { // it does not read the answers
				p.tell(message{op: opFetch, id: 1})
			}

			p.tell(message{op: 99}) // stops even the drain
			p.tell(message{op: opPublish}, fd)
		},
	}

	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.s.anyID = false
			good := w.start()
			p := w.born()
			tag := w.s.lastTag
			way(p, tag, lingering(t))
			id := good.Tag()<<(64-TagBits) | 7
			publish(t, good, id)
			if !has(t, w.s, id) {
				t.Error("no segment")
			}

			good.Destroy(id)
			p.die()
			until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 1 })
		})
	}
}

// A process that is not a child of the client is not adopted, and neither is a descriptor that does
// not refer to a process. A process that has exited is not adopted either, because its parent is
// unknown. Nothing of them is left behind.
func TestOnlyChildrenAreAdopted(t *testing.T) {
	w := newWorld(t)
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	before := descriptors(t)
	for what, pid := range map[string]int{"init": 1, "its parent": unix.Getppid(), "itself": unix.Getpid()} {
		p := w.start()
		for range 20 {
			ours, theirs, err := Pair()
			if err != nil {
				t.Fatal(err)
			}

			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Adopt(ours, pidfd, nil); err == nil {
				t.Errorf("%s was adopted", what)
			}
			_ = unix.Close(theirs)
		}
		p.die()
	}

	p := w.start()
	if _, err := p.Adopt(null(t), dupOf(t, null(t)), nil); err == nil {
		t.Error("a file was adopted")
	}

	p.die()
	until(t, "nothing is left", func() bool { return descriptors(t) <= before+2 })
}

// When a client dies, its children are killed. A living child would keep its slot.
func TestChildrenOfTheDeadAreKilled(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(theirs)
	sleeper := exec.Command("sleep", "1000")
	sleeper.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}

	ended := make(chan error, 1)
	go func() { ended <- sleeper.Wait() }()
	defer func() { _ = sleeper.Process.Kill() }()
	pidfd, err := unix.PidfdOpen(sleeper.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Adopt(ours, pidfd, nil); err != nil {
		t.Fatal(err)
	}

	p.die()
	select {
	case <-ended:
	case <-time.After(never):
		t.Fatal("it lives")
	}
	until(t, "both are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
}

// A client that was given a segment cannot end it: neither with a keep for a carrier of its own,
// nor with another client's keep, nor by reusing the number of a segment that has ended.
func TestAuthority(t *testing.T) {
	w := newWorld(t)
	w.s.anyID = false
	maker, bad, third := w.start(), w.start(), w.start()
	number := func(p *process, n uint64) uint64 { return p.Tag()<<(64-TagBits) | n }
	given, secret, queue, own := number(maker, 1), number(maker, 2), number(maker, 3), number(bad, 1)
	for _, id := range []uint64{given, secret, queue} {
		publish(t, maker, id)
	}
	publish(t, bad, own)
	if !fetches(t, bad, given) || !fetches(t, bad, queue) || !fetches(t, third, given) {
		t.Fatal("no segment")
	}

	for _, how := range []Keeping{Counted, Owned} {
		if err := bad.Keep(own, given, how); err != nil {
			t.Error(err)
		}
		bad.Release(own, given, true)
	}

	for _, pair := range [][2]uint64{{own, secret}, {secret, own}, {secret, given}} {
		if err := bad.Keep(pair[0], pair[1], Counted); err == nil {
			t.Error("kept what it was not given")
		}
	}
	if err := bad.Keep(own, given, Message); err == nil {
		t.Error("another's segment was kept as a message")
	}
	bad.Destroy(given)
	bad.Take(given)
	bad.Destroy(given)
	if !has(t, third, given) || !has(t, maker, secret) {
		t.Error("it was ended")
	}

	fd, mem, err := shm.New("mp-test", 4096)
	if err != nil {
		t.Fatal(err)
	}

	_ = shm.Unmap(mem)
	defer shm.CloseFD(fd)
	if err := bad.Publish(number(maker, 9), fd, 4096, false); err == nil {
		t.Error("another's number was taken")
	}

	message := number(maker, 5) // its creator wants it to end, and it ends
	publish(t, maker, message)
	if !fetches(t, third, queue) {
		t.Fatal("no segment")
	}
	if err := maker.Keep(queue, message, Message); err != nil {
		t.Fatal(err)
	}
	third.Release(queue, message, true)
	until(t, "it is ended", func() bool { return !has(t, maker, message) })
}

// A client can take neither all descriptors nor all keeps. The number of segments that it leaves
// behind when it dies is bounded, even if a queue that it has filled still exists. Another client's
// queue loses nothing.
func TestBudgets(t *testing.T) {
	w := newWorld(t)
	w.s.mu.Lock()
	w.s.files = budget{most: 200, reserve: 40, sure: 8}
	w.s.keeps = budget{most: 400, reserve: 40, sure: 4}
	most, left := w.s.files.alone(), w.s.maxUnheld()
	w.s.mu.Unlock()
	publish(t, w.s, 1)
	publish(t, w.s, 2)
	good := w.start()
	publish(t, good, 3)
	if !fetches(t, good, 2) {
		t.Fatal("no segment")
	}
	if err := good.Keep(2, 3, Counted); err != nil {
		t.Fatal(err)
	}
	good.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })

	file := null(t)
	for round := range uint64(8) {
		bad := w.start()
		if !fetches(t, bad, 1) {
			t.Fatal("no segment")
		}

		n := 0
		for ; n < 1000; n++ {
			id := 1000*(round+1) + uint64(n)
			if fd := dupOf(t, file); bad.Publish(id, fd, 0, false) != nil {
				_ = unix.Close(fd)
				break
			}
			_ = bad.Keep(1, id, Message)
		}

		if n == 0 || n > most {
			t.Errorf("it has %d files of %d", n, most)
		}
		other := w.start()
		if err := other.Publish(100+round, dupOf(t, file), 0, false); err != nil {
			t.Errorf("nothing is left for another: %v", err)
		}

		other.die()
		bad.die()
		until(t, "they are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
		w.s.mu.Lock()
		if n := len(w.s.orphans); n > left {
			t.Errorf("%d of %d are left", n, left)
		}
		w.s.mu.Unlock()
	}

	if !has(t, w.s, 3) {
		t.Error("what an honest client left is gone")
	}
	w.s.Destroy(1)
	w.s.Destroy(2)
}

// The number of segments that a client can keep for carriers of its own is bounded. They are gone
// once the client has died.
func TestKeepsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.s.keeps = budget{most: 1000, reserve: 100, sure: 4}
	p := w.start()
	for id := range uint64(60) {
		publish(t, p, id+1)
	}

	n := 0
	for i := range uint64(60) {
		for j := range uint64(60) {
			if p.Keep(i+1, j+1, Counted) == nil {
				n++
			}
		}
	}
	if most := w.s.keeps.alone(); n == 0 || n > most {
		t.Errorf("%d keeps of %d", n, most)
	}

	other := w.start()
	publish(t, other, 101)
	publish(t, other, 102)
	if err := other.Keep(101, 102, Counted); err != nil {
		t.Errorf("nothing is left for another: %v", err)
	}

	p.die()
	other.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	w.s.ReleaseCycles()
	if !w.s.Idle() {
		t.Error("something is left")
	}
}

// The server looks for a dead client's locks in exactly the arenas that the client had, including
// those that it had dropped.
func TestArenasOfTheDead(t *testing.T) {
	looked := make(chan []uint64, 2)
	s, err := NewServer(func(_ int, arenas []uint64) { looked <- arenas }, func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.anyID = true
	for id := range uint64(4) {
		fd, mem, err := shm.New("mp-test", 4096)
		if err != nil {
			t.Fatal(err)
		}

		_ = shm.Unmap(mem)
		if err := s.Publish(id+1, fd, 4096, true); err != nil {
			t.Fatal(err)
		}
	}

	r, died := join(t, s)
	for _, id := range []uint64{2, 3} {
		g, err := r.Fetch(id)
		if err != nil {
			t.Fatal(err)
		}
		shm.CloseFD(g.FD)
	}
	r.Drop(3)
	close(died)
	got := <-looked
	slices.Sort(got)
	if !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("looked into %v", got)
	}

	for id := range uint64(4) {
		s.Destroy(id + 1)
	}
	idle(t, s)
}
