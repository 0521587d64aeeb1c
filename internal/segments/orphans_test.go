//go:build linux

package segments

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// segments makes a dead client leave n segments, in pairs that keep each other. Only another client
// still has them. They have no descriptors.
func (w *world) estate(n int) (holder *process) {
	w.t.Helper()
	s := w.s
	s.mu.Lock()
	s.files = budget{most: 1 << 18, reserve: 1 << 16, sure: 64}
	s.mu.Unlock()
	maker, holder := w.start(), w.start()
	m, h := w.client(maker.Remote), w.client(holder.Remote)
	for i := range uint64(n) {
		if err := s.publish(m, 1000+i, -1, 1, false); err != nil || !s.fetch(h, 1000+i, false) {
			w.t.Fatal(i, err)
		}
		if i%2 == 0 {
			continue
		}
		for _, pair := range [][2]uint64{{1000 + i, 999 + i}, {999 + i, 1000 + i}} {
			if err := s.keep(m, pair[0], pair[1], Counted); err != nil {
				w.t.Fatal(i, err)
			}
		}
	}

	maker.die()
	until(w.t, "it is buried", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.count == 1 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orphans) != n || s.unheld != 0 {
		w.t.Fatalf("%d segments are left, %d of them to nobody", len(s.orphans), s.unheld)
	}

	return holder
}

// uncharge removes the segments without descriptors from the counts.
func (w *world) uncharge() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.files.used, w.s.root.files = 0, 0
}

// A death delays no other client, however many segments only the dead client had. The server
// forgets no more of them than necessary.
func TestADeathDelaysNobody(t *testing.T) {
	w := newWorld(t)
	defer w.uncharge()
	holder := w.estate(16000)
	holder.die()
	var worst time.Duration
	until(t, "it is buried", func() bool {
		begun := time.Now()
		if err := w.s.Publish(1, -1, 1, false); err != nil {
			t.Fatal(err)
		}
		w.s.Destroy(1)
		worst = max(worst, time.Since(begun))
		w.s.mu.Lock()
		defer w.s.mu.Unlock()
		return w.s.count == 0
	})

	t.Log("the longest delay: ", worst)
	if worst > never/10 {
		t.Errorf("a segment was published in %v", worst)
	}

	w.s.mu.Lock()
	most, left := w.s.maxUnheld(), len(w.s.orphans)
	w.s.mu.Unlock()
	if left > most || left < most*3/4 {
		t.Errorf("%d segments are left: there may be %d", left, most)
	}
	w.s.ReleaseCycles()
}

// A client may have many carriers, each of which keeps one segment of a dead client. A queue with
// some messages does not become the largest group because of that.
func TestManyCarriersAreOneGroup(t *testing.T) {
	const queue, messages, carriers = 1, 20, 90
	w := newWorld(t)
	w.s.mu.Lock()
	w.s.files = budget{most: 400, reserve: 40, sure: 8} // maxUnheld is 100
	w.s.mu.Unlock()
	publish(t, w.s, queue)
	good := w.start()
	if !fetches(t, good, queue) {
		t.Fatal("no segment")
	}

	keep := func(d Directory, carrier, id uint64) {
		t.Helper()
		if err := d.Publish(id, dupOf(t, null(t)), 0, false); err != nil {
			t.Fatal(id, err)
		}
		if err := d.Keep(carrier, id, Counted); err != nil {
			t.Fatal(id, err)
		}
	}

	for i := range uint64(messages) {
		keep(good, queue, 100+i)
	}
	good.die()

	bad := w.start()
	child, died := adoptedBy(t, w.s, w.client(bad.Remote))
	for i := range uint64(carriers) {
		publish(t, bad, 1000+i)
		if !fetches(t, child, 1000+i) {
			t.Fatal("no segment")
		}
		keep(child, 1000+i, 2000+i)
	}

	_ = child.conn.file.Close()
	_ = child.table.Mailboxes().Close()
	remoteChild{bad.Remote, child.Tag()}.Depart()
	close(died)
	until(t, "they are buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 1 })
	for i := range uint64(messages) {
		fd, err := w.s.FetchFile(100 + i)
		if err != nil {
			t.Errorf("message %d is gone", i)
			continue
		}
		w.s.Drop(100 + i)
		_ = unix.Close(fd)
	}

	w.s.mu.Lock()
	if n := len(w.s.orphans); n > w.s.maxUnheld() {
		t.Errorf("%d are left", n)
	}
	w.s.mu.Unlock()
	w.s.Destroy(queue)
}

// The largest group always loses, both among all groups and among those of a client and the clients
// below it.
func TestLeveled(t *testing.T) {
	root := &client{}
	a, b := &client{parent: root}, &client{parent: root}
	child := &client{parent: a}
	sizes := map[group]int{{root, 1}: 7, {root, 2}: 2, {a, 3}: 4, {a, 4}: 1, {child, 5}: 2, {child, 6}: 3, {b, 7}: 3}
	groups := map[group][]*segment{}
	of := map[*segment]group{}
	for why, n := range sizes {
		for range n {
			g := &segment{}
			groups[why] = append(groups[why], g)
			of[g] = why
		}
	}

	size := func(of func(why group) bool) (n int) {
		for why, m := range sizes {
			if of(why) {
				n += m
			}
		}
		return n
	}

	// These functions select the groups that are compared at each client.
	only := func(why group) func(group) bool { return func(o group) bool { return o == why } }
	within := func(c *client) func(group) bool {
		return func(o group) bool { return o.client == c || o.client.parent == c }
	}
	levels := [][]func(group) bool{
		{only(group{root, 1}), only(group{root, 2}), within(a), within(b)},
		{only(group{a, 3}), only(group{a, 4}), within(child)},
		{only(group{child, 5}), only(group{child, 6})},
	}

	victims := leveled(groups, root)
	if len(victims) != len(of) {
		t.Fatalf("%d of %d", len(victims), len(of))
	}

	for _, g := range victims {
		why := of[g]
		for _, parts := range levels {
			for _, loser := range parts {
				for _, other := range parts {
					if loser(why) && size(other) > size(loser) {
						t.Errorf("%v loses %d, and there are %d of another", why, size(loser), size(other))
					}
				}
			}
		}
		sizes[why]--
	}
}
