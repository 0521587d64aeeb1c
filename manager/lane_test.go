package manager

import (
	"context"
	"errors"
	"testing"
)

// A process with many connections does not hold up a process with one.
func TestLaneByProcess(t *testing.T) {
	var l lane
	if l.join(1) != nil {
		t.Fatal("the lane is not free")
	}

	var many []chan struct{}
	for range 200 {
		many = append(many, l.join(1))
	}
	other := l.join(2)
	admitted := func(c chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}

	n := 0
	for ; !admitted(other); n++ {
		l.leave()
	}
	if n > 2 {
		t.Errorf("%d of the others came first", n)
	}

	for i, c := range many {
		if !admitted(c) {
			l.leave()
		}
		if !admitted(c) {
			t.Fatalf("client %d of those that wait is not the next one", i)
		}
	}

	l.leave()
	if l.busy || len(l.waiting) > 0 || len(l.turns) > 0 {
		t.Errorf("%+v", &l)
	}
}

// A client whose context ends while the client waits leaves the lane to the others, even if the
// client has just been admitted.
func TestLaneAndContext(t *testing.T) {
	var l lane
	_ = l.join(1)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	const clients = 20
	for i := range clients {
		go func() {
			err := l.enter(ctx, uint64(i%3))
			if err == nil {
				l.leave()
			}
			left <- err
		}()
	}

	go cancel()
	l.leave()
	for range clients {
		if err := <-left; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}

	if l.busy || len(l.waiting) > 0 || len(l.turns) > 0 {
		t.Errorf("%+v", &l)
	}
}

// Later answers that the clients of one process leave unread count together.
func TestDebtsOfAProcess(t *testing.T) {
	var d debts
	if d.add(1, 10) != 10 || d.add(1, 5) != 15 || d.add(2, 1) != 1 || d.add(1, -15) != 0 || len(d.by) != 1 {
		t.Errorf("%v", d.by)
	}
}
