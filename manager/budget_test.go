//go:build linux

package manager

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// newBudgets returns a server with budgets, and a function that makes clients. A client that is
// made with unread set leaves its answers unread.
func newBudgets(most, each int) (s *Server, client func(process uint64, unread bool) (h *holding, cut chan struct{})) {
	s = &Server{}
	s.requests.init(most, each)
	s.answers.init(most, each)
	return s, func(process uint64, unread bool) (*holding, chan struct{}) {
		cut := make(chan struct{})
		h := &holding{process: process, requests: &s.requests, answers: &s.answers, cut: func() { close(cut) }}
		h.isClosed = func() bool {
			select {
			case <-cut:
				return true
			default:
				return false
			}
		}

		h.leaves(0)
		if unread {
			h.leaves(40 << 20)
		}

		return h, cut
	}
}

// leaves makes the client leave n bytes of the sent answers unread from now on.
func (h *holding) leaves(n int) {
	at := time.Now()
	h.unread = func() (int, time.Time) { return n, at }
}

// Long requests count for all clients together and for each process. There is room again when the
// requests have been answered, or when their client has gone.
func TestBudgetOfRequests(t *testing.T) {
	const mib = 1 << 20
	s, client := newBudgets(10*mib, 6*mib)
	a, _ := client(1, false)
	again, _ := client(1, false)
	b, _ := client(2, false)
	for _, step := range []struct {
		of *holding
		n  int
		ok bool
	}{{a, 4 * mib, true}, {again, 3 * mib, false}, {again, 2 * mib, true}, {b, 5 * mib, false}, {b, 4 * mib, true}} {
		if ok := step.of.tryRequest(step.n); ok != step.ok {
			t.Errorf("%+v", step)
		}
	}

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.awaitRequest(short, mib); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}

	got := make(chan error, 1)
	go func() { got <- b.awaitRequest(t.Context(), 2*mib) }()
	again.requestDone()
	if err := <-got; err != nil {
		t.Error(err)
	}

	a.end()
	a.requestDone() // no effect, since a is gone
	b.end()
	if s.requests.all.Load() != 0 || len(s.requests.by)+len(s.requests.holds) != 0 {
		t.Errorf("%d bytes are left", s.requests.all.Load())
	}
}

// An answer counts until it has been read. When a client waits for room, only clients that have not
// read for a while are disconnected.
func TestBudgetOfAnswers(t *testing.T) {
	const mib = 1 << 20
	s, client := newBudgets(2*maxBytes, 2*maxBytes)
	reads, wasCut := client(1, true)
	idle, idleCut := client(2, true)
	asks, _ := client(3, false)
	for _, h := range []*holding{reads, idle} {
		if h.Room() < maxBytes {
			t.Error(h.Room())
		}
		h.Charge(40 * mib)
		h.sent(40*mib, true)
	}

	if n := s.answers.all.Load(); n != 80*mib {
		t.Errorf("%d bytes", n)
	}

	if n := asks.Room(); n != 48*mib {
		t.Error(n)
	}

	asks.Charge(bufSize) // a short answer
	reads.leaves(0)
	if err := asks.awaitAnswer(t.Context()); err != nil {
		t.Error(err)
	}

	if n := s.answers.all.Load(); n != 40*mib {
		t.Errorf("%d bytes, though one has read", n)
	}
	asks.Charge(60 * mib)
	idle.unread = func() (int, time.Time) { return 40 * mib, time.Now().Add(-2 * unreadFor) }
	go func() { <-idleCut; idle.end() }()
	if err := asks.awaitAnswer(t.Context()); err != nil {
		t.Error(err)
	}

	select {
	case <-wasCut:
		t.Error("one that reads was disconnected")
	default:
	}
	if !reads.push(60 * mib) {
		t.Error("there is room")
	}
	if reads.push(60 * mib) {
		t.Error("there is none")
	}
	reads.pushed(60 * mib)
	asks.end()
	reads.end()
	if s.answers.all.Load() != 0 || len(s.answers.by)+len(s.answers.holds) != 0 {
		t.Errorf("%d bytes are left", s.answers.all.Load())
	}
}

// A client whose requests each take a long time to receive does not block the front for many of
// them.
func TestSlowToReceive(t *testing.T) {
	ours, theirs, err := ipc.NewPipe[protocol]()
	if err != nil {
		t.Fatal(err)
	}

	defer theirs.Close()
	defer ours.Close()
	if err := theirs.SendBytes(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	received := 0
	by := manner{
		receive: func(context.Context, *conn, []byte) ([]byte, error) {
			received++
			time.Sleep(2 * turnTime)
			return nil, nil
		},
		requests: maxRequests, bytes: maxAtOnce,
	}

	p := &peer{conn: ours, most: maxBytes}
	st := store.New(store.NewID(), store.Limits{}, nil, 0)
	if err := p.turn(t.Context(), st, by); !errors.Is(err, errSlow) || received > 3 {
		t.Errorf("after %d: %v", received, err)
	}
}

// An answer that turns out to be too long for a message is not sent, and does not count.
func TestRefusedAnswerDoesNotCount(t *testing.T) {
	s, client := newBudgets(2*maxBytes, 2*maxBytes)
	h, _ := client(1, false)
	h.Charge(maxBytes)
	h.unmade(maxBytes)
	if n := s.answers.all.Load(); n != 0 {
		t.Errorf("%d bytes", n)
	}
	h.Charge(maxBytes / 2)
	h.leaves(maxBytes / 2)
	h.sent(maxBytes/2, true)
	h.unmade(maxBytes) // no effect, since nothing of this turn is left
	if n := s.answers.all.Load(); n != maxBytes/2 {
		t.Errorf("%d bytes", n)
	}
}

// The time for which a client made others wait before it sent its long request does not count
// against that request.
func TestWaitedBefore(t *testing.T) {
	s, client := newBudgets(2*maxBytes, 2*maxBytes)
	h, _ := client(1, false)
	h.waited.Add(int64(2 * unreadFor))
	h.requestDone() // a short request
	if !h.tryRequest(maxBytes) {
		t.Fatal("there is room")
	}
	if h.idle(&s.requests, time.Now()) {
		t.Error("a client that has just sent a long request counts as idle")
	}
	h.waited.Add(int64(2 * unreadFor))
	if !h.idle(&s.requests, time.Now()) {
		t.Error("a client that does not read does not count as idle")
	}
	h.end()
}

// A client for which two goroutines wait to send counts as waiting until both are done.
func TestTwoWaitToSend(t *testing.T) {
	s, client := newBudgets(2*maxBytes, 2*maxBytes)
	h, _ := client(1, false)
	if !h.push(maxBytes) {
		t.Fatal("there is room")
	}

	one, two := h.waitsToSend(), h.waitsToSend()
	one()
	if !h.idle(&s.answers, time.Now().Add(2*unreadFor)) {
		t.Error("a client that has not read for a while does not count as idle")
	}

	if h.idle(&s.answers, time.Now()) {
		t.Error("a client that has just read counts as idle")
	}
	two()
	if h.idle(&s.answers, time.Now().Add(2*unreadFor)) {
		t.Error("a client for which nothing waits counts as idle")
	}
	h.end()
}

// A client that waits for room that only the client itself could make stops waiting when it is
// disconnected, and gives back the room that it holds.
func TestCutWhileItWaits(t *testing.T) {
	s, client := newBudgets(8*maxBytes, maxBytes)
	a, _ := client(1, true)
	a.sent(maxBytes/2, false)
	if err := a.awaitAnswer(t.Context()); !errors.Is(err, mp.ErrClosed) {
		t.Fatal(err)
	}
	a.end()
	if b, _ := client(1, false); b.awaitAnswer(t.Context()) != nil || len(s.answers.line) != 0 {
		t.Error("there is room")
	}
}

// A long request cannot bypass the budget, even if it comes through a pipe that has room for it. A
// correct client does not make a pipe with that much room.
func TestLongRequestInPipe(t *testing.T) {
	ours, theirs, err := ipc.NewPipe[protocol](ipc.Buffer(2 << 20))
	if err != nil {
		t.Fatal(err)
	}

	defer theirs.Close()
	defer ours.Close()
	inside.BoundNext(ours, bufSize)
	_, client := newBudgets(2*maxBytes, 2*maxBytes)
	p := &peer{conn: ours, most: maxBytes, buf: make([]byte, bufSize)}
	p.holds, _ = client(1, false)
	for _, receive := range []func(context.Context, *conn, []byte) ([]byte, error){p.tryReceive, p.receive} {
		if err := theirs.SendBytes(t.Context(), make([]byte, 4*bufSize)); err != nil {
			t.Fatal(err)
		}

		if b, err := receive(t.Context(), ours, p.buf); !errors.Is(err, mp.ErrTooLong) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if err := theirs.SendBytes(t.Context(), make([]byte, bufSize)); err != nil {
			t.Fatal(err)
		}
		if b, err := receive(t.Context(), ours, p.buf); err != nil || len(b) != bufSize {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// Later answers to one process leave room for answers to others, which would be lost if there were
// no room.
func TestLaterAnswersOfOne(t *testing.T) {
	s, client := newBudgets(8*maxBytes, 4*maxBytes)
	n := 0
	for range 20 {
		if h, _ := client(1, true); h.push(maxBytes) {
			n++
		}
	}

	if n != 4 {
		t.Errorf("%d of one process", n)
	}

	if other, _ := client(2, false); !other.push(maxBytes) {
		t.Error("there is room for another process")
	}
	for h := range s.answers.holds {
		h.pushed(maxBytes)
	}
}

// A client that wants a lot of room gets it, even if clients that want little keep coming.
func TestRoomForMuch(t *testing.T) {
	s, client := newBudgets(4*maxBytes, maxBytes)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for process := range 5 {
		for range 8 {
			h, _ := client(uint64(process+1), false)
			all.Go(func() {
				for h.awaitRequest(ctx, maxBytes/8) == nil {
					time.Sleep(5 * time.Millisecond)
					h.requestDone()
				}
			})
		}
	}

	for s.requests.all.Load() <= 3*maxBytes {
		runtime.Gosched()
	}

	short, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	h, _ := client(100, false)
	if err := h.awaitRequest(short, maxBytes); err != nil {
		t.Error(err)
	}
}
