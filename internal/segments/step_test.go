//go:build linux

package segments

import (
	"sync/atomic"
	"testing"
)

// Long operations release the lock between steps, so that other calls can proceed.
func TestStepsGiveUpTheLock(t *testing.T) {
	const n = 9000
	w := newWorld(t)
	defer w.uncharge()
	var pauses atomic.Int64
	w.s.paused = func() {
		pauses.Add(1)
		if err := w.s.Publish(1, -1, 1, false); err == nil { // else another goroutine is here, too
			w.s.Destroy(1)
		}
	}

	paused := func(what string, entries int) {
		t.Helper()
		if got := pauses.Swap(0); got < int64(entries/defaultStep) {
			t.Errorf("%s: %d pauses for %d entries", what, got, entries)
		}
	}

	holder := w.estate(n)
	paused("the death of the owner", 2*n) // it has them, and may have sent them
	w.s.Orphans()
	paused("a look for orphans", n)
	w.s.ReleaseCycles()
	paused("a look for circles", n)
	holder.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	paused("the death of the last holder", 2*n)
	w.s.ReleaseCycles()
	paused("the end of circles", n)
	if !w.s.Idle() {
		t.Error("something is left")
	}

	w.estate(0).die()
	for id := range uint64(n) {
		if err := w.s.Publish(10+id, -1, 1, false); err != nil {
			t.Fatal(err)
		}
	}

	last := w.start()
	c := w.client(last.Remote)
	for id := range uint64(n) {
		if !w.s.fetch(c, 10+id, false) {
			t.Fatal("no segment")
		}
		if id > 0 {
			if err := w.s.Keep(9+id, 10+id, Counted); err != nil {
				t.Fatal(err)
			}
		}
	}

	last.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	paused("the death of a holder", n)
	for id := range uint64(n) {
		w.s.Destroy(10 + id)
	}
}

// The end of the first segment of a chain, in which each keeps the next, ends all of them, in
// steps.
func TestChainsEnd(t *testing.T) {
	const n = 4000
	w := newWorld(t)
	defer w.uncharge()
	w.s.mu.Lock()
	w.s.files = budget{most: 1 << 18, reserve: 1 << 16, sure: 64}
	w.s.mu.Unlock()
	if err := w.s.Publish(1, -1, 1, false); err != nil {
		t.Fatal(err)
	}

	p := w.start()
	c := w.client(p.Remote)
	if !w.s.fetch(c, 1, false) {
		t.Fatal("no segment")
	}

	for id := uint64(2); id <= n; id++ {
		if err := w.s.publish(c, id, -1, 1, false); err != nil {
			t.Fatal(err)
		}
		if err := w.s.keep(c, id-1, id, Counted); err != nil {
			t.Fatal(err)
		}
	}

	p.die()
	until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 0 })
	pauses := 0
	w.s.paused = func() { pauses++ }
	w.s.Destroy(1)
	if !w.s.Idle() {
		t.Errorf("%d of the chain are left", len(w.s.segments))
	}
	if pauses < n/defaultStep {
		t.Errorf("%d pauses", pauses)
	}
}

// A segment that a process gets while the server looks for cycles stays, with all that it keeps,
// in whichever pause that happens.
func TestCirclesThatSomebodyGets(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		p, user := w.start(), w.start()
		for id := uint64(1); id <= 4; id++ {
			publish(t, p, id)
		}

		for _, pair := range [][2]uint64{{1, 2}, {2, 1}, {2, 3}, {3, 4}} {
			if err := p.Keep(pair[0], pair[1], Counted); err != nil {
				t.Fatal(err)
			}
		}

		p.die()
		until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 1 })
		pauses, got, removing := 0, false, false
		w.s.stepSize = 1
		w.s.paused = func() {
			if pauses++; pauses != at {
				return
			}
			w.s.mu.Lock()
			removing = len(w.s.segments) < 4
			w.s.mu.Unlock()
			got = fetches(t, user, 1)
		}

		w.s.ReleaseCycles()
		w.s.mu.Lock()
		w.s.paused, w.s.stepSize = nil, defaultStep
		w.s.mu.Unlock()
		for id := uint64(1); id <= 4; id++ {
			if !removing && has(t, w.s, id) != got {
				t.Errorf("got in pause %d: %v, but not segment %d", at, got, id)
			}
		}

		if pauses >= at && !removing && !got {
			t.Errorf("pause %d: nothing was got", at)
		}
		user.Drop(1)
		until(t, "the last request is done", func() bool { return user.Publish(9, dupOf(t, null(t)), 0, false) == nil })
		w.s.ReleaseCycles()
		user.die()
		until(t, "nothing is left", w.s.Idle)
		if pauses < at {
			return
		}
	}
}

// A parent may say that its child has departed, and take the child's segments, while the server
// divides the child's segments. This does not change what is left in the end.
func TestDepartBetweenSteps(t *testing.T) {
	for at := 1; at < 12; at++ {
		w := newWorld(t)
		p, holder := w.start(), w.start()
		for id := uint64(1); id <= 4; id++ {
			publish(t, p, id)
		}
		if !fetches(t, holder, 4) {
			t.Fatal("no segment")
		}

		pauses := 0
		w.s.stepSize = 1
		w.s.paused = func() {
			if pauses++; pauses == at {
				w.s.Take(1)
				p.child.Depart()
			}
		}

		p.over.Do(func() {
			_ = p.conn.file.Close()
			_ = p.table.Mailboxes().Close()
			close(p.died)
		})

		until(t, "it is buried", func() bool { w.s.mu.Lock(); defer w.s.mu.Unlock(); return w.s.count == 1 })
		w.s.mu.Lock()
		w.s.paused = nil
		w.s.mu.Unlock()
		p.child.Depart()
		if pauses >= at && !has(t, w.s, 1) || !has(t, w.s, 4) {
			t.Errorf("pause %d: something is gone", at)
		}
		if has(t, w.s, 2) || has(t, w.s, 3) {
			t.Errorf("pause %d: something is left", at)
		}
		w.s.Destroy(1)
		holder.Drop(4)
		until(t, "nothing is left", func() bool { return !has(t, w.s, 4) })
	}
}
