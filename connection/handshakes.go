package connection

import (
	"container/list"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// handshakes holds a listener's unfinished handshakes, whose number is limited. The oldest
// handshake makes room for the next, so that silent peers do not keep others out.
type handshakes struct {
	most int

	mu   sync.Mutex
	all  list.List     // oldest first
	left chan struct{} // a handshake has left; capacity 1
}

// handshake is an unfinished handshake with a peer that is not authenticated yet.
type handshake struct {
	conn  net.Conn
	since time.Time
	place *list.Element // nil once the handshake is over

	dropped bool
}

func (a *handshakes) init(most int) { a.most, a.left = most, make(chan struct{}, 1) }

// minTime is how long a handshake is sure to keep its place. Without it, in a flood of connections,
// an honest peer would be dropped before it could answer. New peers meanwhile wait in the kernel's
// backlog.
const minTime = 250 * time.Millisecond

var errDropped = errors.New("connection: the handshake was dropped to make room for another one; see Config.MaxHandshakes")

// enter begins a handshake as soon as there is room. If enter closes an older connection to make
// room, it returns that connection too. The error is ctx's.
func (a *handshakes) enter(ctx context.Context, c net.Conn) (h *handshake, dropped net.Conn, err error) {
	for {
		h, dropped, wait := a.tryEnter(c)
		if h != nil {
			return h, dropped, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.left:
		case <-ctx.Done():
			timer.Stop()
			return nil, nil, ctx.Err()
		}
		timer.Stop()
	}
}

// tryEnter begins a handshake, or returns how long to wait before the next try.
func (a *handshakes) tryEnter(c net.Conn) (h *handshake, dropped net.Conn, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()

	now := time.Now()
	if a.all.Len() >= a.most {
		oldest := a.all.Front().Value.(*handshake)
		if age := now.Sub(oldest.since); age < minTime {
			return nil, nil, minTime - age
		}
		a.remove(oldest)
		oldest.dropped = true
		dropped = oldest.conn
		_ = dropped.Close()
	}

	h = &handshake{conn: c, since: now}
	h.place = a.all.PushBack(h)
	return h, dropped, 0
}

func (a *handshakes) remove(h *handshake) {
	a.all.Remove(h.place)
	h.place = nil
}

// leave ends a handshake and returns false if the handshake was dropped. It may be called twice.
func (a *handshakes) leave(h *handshake) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.place == nil {
		return !h.dropped
	}
	a.remove(h)
	select {
	case a.left <- struct{}{}:
	default:
	}
	return true
}
