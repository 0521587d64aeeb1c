package ipc

import (
	"context"
	"slices"
	"sync"
)

// turns let the goroutines of this process receive from a Conn one at a time.
type turns struct {
	line line
	drop func(value []byte) // releases what a message that was sent by value carries

	mu       sync.Mutex
	held     []byte // the next message, which a receiver could not use
	closed   bool
	taken    bool                 // a goroutine has the turn
	tries    []*waiter            // wait only while a goroutine receives a message that is ready
	waiters  []*waiter            // wait until their contexts end
	called   *waiter              // the last waiter that was called, until it runs
	watchers map[*func()]struct{} // called whenever a message is held
}

// waiter is a goroutine that waits for its turn to receive.
type waiter struct {
	bell chan struct{} // closed to wake it
	has  bool          // whether it has the turn
}

// await waits for the turn to receive until ctx ends. Usually no other goroutine receives.
func (t *turns) await(ctx context.Context) (held []byte, err error) {
	t.mu.Lock()
	if !t.taken {
		held = t.take()
		t.mu.Unlock()
		return held, nil
	}
	defer t.mu.Unlock()

	for again := false; t.taken; again = true {
		w := &waiter{bell: make(chan struct{})}
		at := len(t.waiters)
		if again { // another goroutine was faster
			at = 0
		}

		t.waiters = slices.Insert(t.waiters, at, w)
		t.mu.Unlock()
		select {
		case <-w.bell:
		case <-ctx.Done():
		}
		t.mu.Lock()

		if t.called == w {
			t.called = nil
		}
		if w.has {
			break
		}
		if at := slices.Index(t.waiters, w); at >= 0 {
			t.waiters = slices.Delete(t.waiters, at, at+1)
			return nil, ended(ctx, ctx.Err())
		}
	}

	return t.take(), nil
}

// try is like await, but returns ErrEmpty instead of waiting if there is nothing to receive. If
// another goroutine has the turn and a message is ready, that goroutine receives without waiting,
// and the caller gets the next turn.
func (t *turns) try() (held []byte, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		if !t.line.readyNow() {
			return nil, ErrEmpty
		}
		w := &waiter{bell: make(chan struct{})}
		t.tries = append(t.tries, w)
		t.mu.Unlock()
		<-w.bell
		t.mu.Lock()
	}
	return t.take(), nil
}

// take takes the turn and the held message. The caller holds the lock.
func (t *turns) take() (held []byte) {
	held, t.held, t.taken = t.held, nil, true
	return held
}

// pass ends the caller's turn and holds the message that the caller could not use, if there is one.
// In that case, another goroutine gets the turn, since the caller may come back at once for the
// same message. A goroutine that was called earlier and has not run yet comes first: otherwise the
// caller could take turn after turn for as long as it has the processor.
func (t *turns) pass(held []byte) {
	t.mu.Lock()
	if held == nil && len(t.tries) == 0 && len(t.waiters) == 0 { // the usual case
		t.taken = false
		t.mu.Unlock()
		return
	}

	if t.closed && held != nil {
		t.mu.Unlock()
		ofValue(held, t.drop)
		held = nil
		t.mu.Lock()
	}

	t.held = held
	t.callNext(held != nil)
	if held != nil {
		for w := range t.watchers {
			(*w)()
		}
	}
	t.mu.Unlock()
}

// callNext gives the turn to the next waiter, if there is one. Usually the turn goes to the first
// goroutine that asks for it. If notCaller is set, the turn is reserved for the waiter that was
// called, so that the caller of pass cannot take it. The lock must be held.
func (t *turns) callNext(notCaller bool) {
	t.taken = false
	if len(t.tries) > 0 {
		close(t.tries[0].bell)
		t.tries = slices.Delete(t.tries, 0, 1)
		t.taken = true
		return
	}

	if t.called == nil && len(t.waiters) > 0 {
		t.called = t.waiters[0]
		t.waiters = slices.Delete(t.waiters, 0, 1)
		close(t.called.bell)
	}

	if notCaller && t.called != nil {
		t.called.has, t.taken = true, true
		t.called = nil
	}
}

func (t *turns) holds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held != nil
}

// whenHeld arranges for f, which must not block, to be called whenever a message is held, until
// stop is called.
func (t *turns) whenHeld(f func()) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == nil {
		t.watchers = map[*func()]struct{}{}
	}
	t.watchers[&f] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, &f)
	}
}

// end drops the held message, and makes pass drop messages that it would hold from now on.
func (t *turns) end() {
	t.mu.Lock()
	held := t.held
	t.held, t.closed = nil, true
	t.mu.Unlock()
	ofValue(held, t.drop)
}

// forget ends the turns and the line. It is called when neither is reachable any longer.
func (t *turns) forget() {
	t.line.forget(t.drop)
	t.end()
}
