//go:build linux

package segments

import (
	"slices"
	"testing"
)

// spilled makes a process publish a message in a carrier.
func (p *process) spilled(carrier, id uint64) {
	p.w.t.Helper()
	publish(p.w.t, p, id)
	if err := p.Keep(carrier, id, Message); err != nil {
		p.w.t.Fatal(err)
	}
}

// The process that published a message is told when the message ends because a receiver has read it
// or because the carrier is gone.
func TestSenderIsToldOfTheEnd(t *testing.T) {
	w := newWorld(t)
	sender, receiver := w.start(), w.start()
	for _, id := range []uint64{1, 4} {
		publish(t, receiver, id)
		fetches(t, sender, id)
	}

	sender.spilled(1, 2)
	sender.spilled(4, 3)
	receiver.Release(1, 2, true)
	until(t, "it is told of the message that was read", func() bool { return sender.knows(2) })
	if sender.knows(3) {
		t.Error("told of a message that nobody has read")
	}

	receiver.Destroy(4)
	until(t, "it is told of the message that nobody can read", func() bool { return sender.knows(3) })
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.segments[2] != nil || w.s.segments[3] != nil {
		t.Error("a message is left")
	}
}

// For the root process's messages, the server calls gone.
func TestRootIsToldOfTheEnd(t *testing.T) {
	w := newWorld(t)
	receiver := w.start()
	publish(t, receiver, 1)
	fetches(t, w.s, 1)
	publish(t, w.s, 2)
	if err := w.s.Keep(1, 2, Message); err != nil {
		t.Fatal(err)
	}
	receiver.Release(1, 2, true)
	until(t, "it is told", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return slices.Contains(w.gone, 2) })
	w.s.Drop(1)
}

// The root process is not told each time a client drops a segment that it does not have.
func TestDroppedOnce(t *testing.T) {
	w := newWorld(t)
	maker, carrier, other := w.start(), w.start(), w.start()
	publish(t, carrier, 1)
	publish(t, maker, 2)
	if !fetches(t, maker, 1) {
		t.Fatal("no carrier")
	}
	if err := maker.Keep(1, 2, Counted); err != nil {
		t.Fatal(err)
	}

	maker.die()
	maker.child.Depart()
	until(t, "its segment is an orphan", func() bool {
		w.s.mu.Lock()
		defer w.s.mu.Unlock()
		g := w.s.orphans[2]
		return g != nil && !g.had()
	})

	before := len(w.told())
	for range 100 {
		other.Drop(2)
	}
	if has(t, other, 3) { // it is answered, so all earlier messages have been handled
		t.Error("a segment that nobody has made")
	}
	if n := len(w.told()) - before; n > 2 { // of the death
		t.Errorf("the root process was told %d times", n)
	}
	carrier.Destroy(1)
}

func (w *world) told() []uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.gone)
}
