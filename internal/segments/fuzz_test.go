//go:build linux

package segments

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/shm"
)

const (
	fuzzClients = 3
	honestID    = 1 // of the observer, with the observer's tag
)

// A fuzzWorld is a server with hostile clients, which send what the input says, and an honest
// observer.
type fuzzWorld struct {
	s       *Server
	honest  *Remote
	died    chan struct{}
	child   Child
	hostile [fuzzClients]fuzzClient
	files   [4]int // that clients send: nothing, a file, a socket, memory
}

type fuzzClient struct {
	fd    int // -1: dead
	tag   uint64
	died  chan struct{}
	child Child
}

func newFuzzWorld(t *testing.T) *fuzzWorld {
	s, err := NewServer(func(int, []uint64) {}, func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}

	s.files, s.keeps = budget{most: 24, reserve: 8, sure: 2}, budget{most: 24, reserve: 8, sure: 2}
	s.stepSize = 1 // so that the clients' requests come between the steps
	w := &fuzzWorld{s: s}
	fd, theirs := w.adopt(t)
	w.died, w.child = fd.died, fd.child
	if w.honest, err = Connect(theirs, func(uint64) {}); err != nil {
		t.Fatal(err)
	}

	for i := range w.hostile {
		c, theirs := w.adopt(t)
		c.fd = theirs
		if err := unix.SetNonblock(theirs, true); err != nil {
			t.Fatal(err)
		}
		w.hostile[i] = c
	}
	publish1(t, w.honest, w.honestID())
	w.files = [4]int{-1, null(t), socket(t), memory(t)}
	return w
}

func (w *fuzzWorld) honestID() uint64 { return w.honest.Tag()<<(64-TagBits) | honestID }

func (w *fuzzWorld) adopt(t *testing.T) (c fuzzClient, theirs int) {
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	c.died = make(chan struct{})
	if c.child, err = w.s.Adopt(ours, -1, c.died); err != nil {
		t.Fatal(err)
	}
	c.tag = w.s.lastTag
	return c, theirs
}

func socket(t *testing.T) int {
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(ours); _ = unix.Close(theirs) })
	return ours
}

func memory(t *testing.T) int {
	fd, mem, err := shm.New("mp-test", 4096)
	if err != nil {
		t.Fatal(err)
	}
	_ = shm.Unmap(mem)
	t.Cleanup(func() { shm.CloseFD(fd) })
	return fd
}

func publish1(t *testing.T, d Directory, id uint64) {
	fd, mem, err := shm.New("mp-test", 4096)
	if err != nil {
		t.Fatal(err)
	}
	_ = shm.Unmap(mem)
	if err := d.Publish(id, fd, 4096, false); err != nil {
		t.Fatal(err)
	}
}

// say makes a hostile client send the message that five bytes of the input encode.
func (w *fuzzWorld) say(b []byte) {
	c := &w.hostile[int(b[0])%fuzzClients]
	if c.fd < 0 {
		return
	}
	if b[1] == 255 {
		w.kill(c)
		return
	}

	m := message{op: b[1] % (opGone + 2), ok: b[2]&1 != 0, arena: b[2]&2 != 0, req: uint32(b[2])}
	m.id, m.size = w.number(b[3]), w.number(b[4])
	if m.op == opPublish {
		m.size = []uint64{0, 4096, 1 << 40}[b[4]%3]
	}

	var rights []byte
	if fd := w.files[b[2]>>2&3]; fd >= 0 {
		rights = unix.UnixRights(fd)
		if b[2]>>4&7 == 7 {
			rights = unix.UnixRights(fd, fd, fd)
		}
	}
	data := m.encode()
	if b[2]>>7 != 0 && b[4] == 200 {
		data = data[:7]
	}
	_ = unix.Sendmsg(c.fd, data, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
}

// number returns the number of a segment of one of the clients or of the observer.
func (w *fuzzWorld) number(b byte) uint64 {
	if b&0x80 != 0 {
		return w.honestID()
	}
	return w.hostile[int(b&3)%fuzzClients].tag<<(64-TagBits) | uint64(b>>2&7)
}

func (w *fuzzWorld) kill(c *fuzzClient) {
	_ = unix.Close(c.fd)
	c.fd = -1
	close(c.died)
	c.child.Depart()
}

// check compares the counts with what they count.
func (w *fuzzWorld) check() error {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	keeps, left, holds := 0, 0, 0
	for _, g := range s.segments {
		keeps += len(g.keptBy.m)
		if g.owner == nil && g.has == 0 {
			left++
		}

		has := 0
		for c, now := range g.holders {
			if now {
				has++
			}
			if c != s.root {
				holds++
			}
			if _, ok := c.segments.m[g]; !ok {
				return fmt.Errorf("a holder of segment %d does not list it", g.id)
			}
		}

		for c := range g.awaited {
			holds++
			if _, ok := c.awaits.m[g]; !ok {
				return fmt.Errorf("a client that segment %d awaits does not list it", g.id)
			}
		}
		if g.owner != nil {
			if _, ok := g.owner.segments.m[g]; !ok {
				return fmt.Errorf("the owner of segment %d does not list it", g.id)
			}
		}
		if has != g.has {
			return fmt.Errorf("%d holders are counted as %d", has, g.has)
		}
	}

	for _, g := range s.removed { // not unlinked yet
		keeps += len(g.keptBy.m)
	}
	if holds != s.holds.used {
		return fmt.Errorf("%d holds, counted %d", holds, s.holds.used)
	}
	if left != s.unheld {
		return fmt.Errorf("%d segments are left, counted %d", left, s.unheld)
	}

	switch {
	case s.files.used > s.files.most, s.keeps.used > s.keeps.most, len(s.segments) > s.files.most:
		return fmt.Errorf("%d segments, %+v descriptors, %+v keeps", len(s.segments), s.files, s.keeps)
	case keeps != s.keeps.used+s.root.keeps:
		return fmt.Errorf("%d keeps, counted %d", keeps, s.keeps.used)
	case left > s.maxUnheld()+s.files.most/2:
		return fmt.Errorf("%d segments are left", left)
	}

	return nil
}

// FuzzServer makes several hostile clients send anything, with any descriptors, and die. The
// observer's segment stays, the counts are correct, and nothing is left at the end.
func FuzzServer(f *testing.F) {
	f.Add([]byte{0, opPublish, 4, 0, 0, 0, opKeep, 0, 0, 128, 0, opRelease, 1, 128, 0, 0, 255, 0, 0, 0})
	f.Add([]byte{0, opFetch, 0, 128, 0, 0, opDestroy, 0, 128, 0, 0, opTake, 0, 128, 0, 1, opAdopt, 8, 0, 0, 1, opPidfd, 4, 0, 0})
	f.Add([]byte{0, opPublish, 14, 1, 1, 1, opFetch, 0, 4, 0, 1, opKeep, 0, 128, 4, 1, opPublish, 0xf4, 0, 0, 2, 99, 0, 0, 0})
	f.Fuzz(fuzzOne)
}

// fuzzOne runs one input.
func fuzzOne(t *testing.T, input []byte) {
	w := newFuzzWorld(t)
	for len(input) >= 5 {
		w.say(input[:5])
		input = input[5:]
	}
	if err := w.check(); err != nil {
		t.Error(err)
	}

	g, err := w.honest.Fetch(w.honestID())
	if err != nil {
		t.Fatal("the observer's segment is gone: ", err)
	}
	shm.CloseFD(g.FD)

	for i := range w.hostile {
		if c := &w.hostile[i]; c.fd >= 0 {
			w.kill(c)
		}
	}
	w.honest.Destroy(w.honestID())
	_ = w.honest.conn.file.Close()
	_ = w.honest.table.Mailboxes().Close()
	close(w.died)
	w.child.Depart()
	w.settled(t)
	w.s.Close()
}

// settled waits until nothing is left of any client.
func (w *fuzzWorld) settled(t *testing.T) {
	s := w.s
	for limit := time.Now().Add(never); ; time.Sleep(10 * time.Microsecond) {
		idle := s.Idle()
		s.mu.Lock()
		over := idle && s.files.used == 0 && s.keeps.used == 0 && s.holds.used == 0 && s.unheld == 0 && s.taken == 0 && s.root.files == 0
		state := fmt.Sprintf("%d segments, %d clients, %+v descriptors, %+v keeps", len(s.segments), s.count, s.files, s.keeps)
		s.mu.Unlock()
		if over {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("left: ", state)
		}
	}
}
