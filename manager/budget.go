package manager

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/inside"
)

// A budget bounds the bytes of long messages that the manager holds for the clients of this tree of
// processes. Short messages do not count, since each client has a buffer for them.
type budget struct {
	most, each int // in all, and for one process

	all atomic.Int64 // bytes in use; atomic, so that it can be read without the lock

	mu    sync.Mutex
	by    map[uint64]int // by the number of the process that made the connection
	holds map[*holding]int
	room  chan struct{} // closed when there is more room; nil if no goroutine waits for that
	line  []*want       // waiters for room, in order of arrival
	first *want         // the first waiter in line that lacks only shared room; nil if there is none
	seen  time.Time     // when a waiter last looked at the clients
}

func (b *budget) init(most, each int) {
	b.most, b.each, b.by, b.holds = most, each, map[uint64]int{}, map[*holding]int{}
}

// isLong reports whether a message of n bytes counts toward a budget.
func isLong(n int) bool { return n > bufSize }

// left returns how much room there is for a process. The caller must hold b.mu.
func (b *budget) left(process uint64) int {
	return min(b.most-int(b.all.Load()), b.each-b.by[process])
}

// A want is the room that a goroutine waits for.
type want struct {
	process uint64
	n       int
}

// admits reports whether there is room for n bytes of a process. The first waiter in line has a
// claim to the shared room. Without that claim, many small requests could keep out a large one.
// mine is the caller's own entry in the line, or nil. The caller must hold b.mu.
func (b *budget) admits(process uint64, n int, mine *want) bool {
	left := b.left(process)
	if f := b.first; f != nil && f != mine && f.process != process {
		left = min(left, b.most-int(b.all.Load())-f.n)
	}
	return left >= n
}

// findFirst finds the first waiter that lacks only shared room. It must be called after each change
// to the line or to the bytes that processes hold. The caller must hold b.mu.
func (b *budget) findFirst() {
	b.first = nil
	for _, w := range b.line {
		if b.each-b.by[w.process] >= w.n {
			b.first = w
			return
		}
	}
}

// add changes the number of bytes held for a client by n. The caller must hold b.mu.
func (b *budget) add(h *holding, n int) {
	if h.over || n == 0 {
		return
	}
	b.all.Add(int64(n))
	if b.by[h.process] += n; b.by[h.process] == 0 {
		delete(b.by, h.process)
	}
	if b.holds[h] += n; b.holds[h] == 0 {
		delete(b.holds, h)
	}
	b.findFirst()
	if n < 0 && b.room != nil {
		close(b.room)
		b.room = nil
	}
}

func (b *budget) try(h *holding, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.admits(h.process, n, nil) {
		return false
	}
	b.add(h, n)
	return true
}

// Times for waiters. A client that has not read for unreadFor is disconnected if others need the
// room. A client does not report that it has read, so waiters check every recheckInterval.
const (
	unreadFor       = 2 * time.Second
	recheckInterval = 20 * time.Millisecond
)

// await waits until there is room for n bytes, and takes the room if take is set. It returns
// mp.ErrClosed as soon as the client is gone or disconnected: the client's room is given back only
// when its goroutine ends, and others may be waiting for that room.
func (b *budget) await(ctx context.Context, h *holding, n int, take bool) error {
	recheck := time.NewTicker(recheckInterval + rand.N(recheckInterval)) // random, so that no waiter always looks just after another
	defer recheck.Stop()
	mine := &want{h.process, n}
	b.mu.Lock()
	b.line = append(b.line, mine)
	b.findFirst()
	b.mu.Unlock()
	defer b.leave(mine)
	for ctx.Err() == nil {
		if h.isClosed() {
			return mp.ErrClosed
		}
		b.mu.Lock()
		if now := time.Now(); b.left(h.process) < n && now.Sub(b.seen) >= recheckInterval/2 { // at most one of many waiters looks
			b.seen = now
			b.reclaim(h, n)
		}

		if b.admits(h.process, n, mine) {
			if take {
				b.add(h, n)
			}
			b.mu.Unlock()
			return nil
		}

		if b.room == nil {
			b.room = make(chan struct{})
		}

		room := b.room
		b.mu.Unlock()
		select {
		case <-room:
		case <-recheck.C:
		case <-ctx.Done():
		}
	}

	return ctx.Err()
}

// leave removes a waiter from the line.
func (b *budget) leave(mine *want) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = slices.DeleteFunc(b.line, func(w *want) bool { return w == mine })
	b.findFirst()
}

// reclaim makes room for n bytes of a client: it notes what clients have read, and disconnects
// clients that do not read. If only the client's own process lacks room, reclaim disconnects only
// clients of that process. The caller must hold b.mu.
func (b *budget) reclaim(of *holding, n int) {
	now := time.Now()
	for h := range b.holds { // only answers can be in a pipe; requests cannot
		if b == h.answers {
			h.checkReader()
		}
	}
	if b.left(of.process) >= n {
		return
	}
	full := b.most-int(b.all.Load()) < n
	for h := range b.holds {
		if (full || h.process == of.process) && h.idle(b, now) && !h.isCut.Swap(true) {
			go h.cut() // not here: the caller may hold locks of other clients
		}
	}
}

// holding is the memory that one client makes the manager hold: requests that have not been
// answered, and answers that the client has not read. A remote client has a nil holding, whose
// methods do nothing.
type holding struct {
	process           uint64
	requests, answers *budget
	// unread returns how many bytes of answers were sent and may still be unread, and since when
	// the first of these answers has been unread. It reads memory that the client cannot write to.
	unread   func() (bytes int, since time.Time)
	isClosed func() bool // reports whether the connection is closed
	cut      func()      // disconnects the client
	isCut    atomic.Bool

	// waits is the time at which an answer first could not be sent, or 0 if no answer is waiting.
	// waited is how long answers could not be sent during the long request that is being answered.
	// Both are in nanoseconds.
	waits, waited atomic.Int64
	sending       sync.Mutex // guards changes to waits
	senders       int        // goroutines that wait to send: at most one for turns, and one for later answers

	request int // bytes; used only by the goroutine that serves the client

	// Bytes of answers, guarded by the lock of their budget.
	made   int       // in the current turn
	inPipe int       // sent, and perhaps not read yet
	sentAt time.Time // when the first of these was sent
	over   bool
}

// holds returns an empty holding for a client.
func (s *Server) holds(p *peer, process uint64) *holding {
	return &holding{
		process: process, requests: &s.requests, answers: &s.answers,
		unread:   func() (int, time.Time) { return inside.UnreadByConn(p.conn) },
		isClosed: func() bool { return inside.ConnEnded(p.conn) },
		cut: func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.cut()
		},
	}
}

// idle reports whether the client has not read for a while. The caller must hold b.mu.
func (h *holding) idle(b *budget, now time.Time) bool {
	unread := time.Duration(0)
	if at := h.waits.Load(); at != 0 {
		unread = now.Sub(time.Unix(0, at))
	}
	if b == h.requests {
		unread += time.Duration(h.waited.Load())
	} else if h.inPipe > 0 {
		unread = max(unread, now.Sub(h.sentAt))
	}
	return unread > unreadFor
}

// waitsToSend notes that an answer is being sent, until done is called. Two goroutines may wait.
// When one of them is done, the client has read something, so the other goroutine's wait counts
// from then on.
func (h *holding) waitsToSend() (done func()) {
	if h == nil {
		return func() {}
	}
	h.sending.Lock()
	defer h.sending.Unlock()
	if h.senders++; h.senders == 1 {
		h.waits.Store(time.Now().UnixNano())
	}
	return h.sentOne
}

func (h *holding) sentOne() {
	h.sending.Lock()
	defer h.sending.Unlock()
	now := time.Now().UnixNano()
	h.waited.Add(now - h.waits.Load())
	if h.senders--; h.senders == 0 {
		now = 0
	}
	h.waits.Store(now)
}

// tryRequest takes room for a request of n bytes if there is enough.
func (h *holding) tryRequest(n int) bool {
	if !h.requests.try(h, n) {
		return false
	}
	h.hasRequest(n)
	return true
}

// hasRequest notes that the room for a request was taken.
func (h *holding) hasRequest(n int) {
	if h.request == 0 {
		h.waited.Store(0) // earlier waits do not count against this request
	}
	h.request += n
}

// awaitRequest is like tryRequest, but waits for room.
func (h *holding) awaitRequest(ctx context.Context, n int) error {
	err := h.requests.await(ctx, h, n, true)
	if err == nil {
		h.hasRequest(n)
	}
	return err
}

// requestDone gives back the room for requests that have been answered.
func (h *holding) requestDone() {
	if h == nil || h.request == 0 {
		return
	}
	h.requests.mu.Lock()
	defer h.requests.mu.Unlock()
	h.requests.add(h, -h.request)
	h.request = 0
}

// awaitAnswer waits until there is room for the longest answer.
func (h *holding) awaitAnswer(ctx context.Context) error {
	return h.answers.await(ctx, h, maxBytes, false)
}

// Room implements [store.Account]: it returns the room for answers.
func (h *holding) Room() int {
	if h.answers.all.Load() == 0 { // usually
		return math.MaxInt
	}
	h.answers.mu.Lock()
	defer h.answers.mu.Unlock()
	return max(h.answers.left(h.process), bufSize)
}

// Charge implements [store.Account]: it counts an answer of n bytes made in a turn.
func (h *holding) Charge(n int) {
	if !isLong(n) {
		return
	}
	h.answers.mu.Lock()
	defer h.answers.mu.Unlock()
	h.answers.add(h, n)
	h.made += n
}

// unmade undoes Charge for an answer that is not sent after all.
func (h *holding) unmade(n int) {
	if h == nil || !isLong(n) {
		return
	}
	h.answers.mu.Lock()
	defer h.answers.mu.Unlock()
	n = min(n, h.made)
	h.answers.add(h, -n)
	h.made -= n
}

// push counts a later answer if there is room, and reports whether there is. It does not wait for
// room, since its caller must not wait.
func (h *holding) push(n int) bool {
	if h == nil || !isLong(n) {
		return true
	}
	b := h.answers
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left(h.process) < n {
		b.reclaim(h, n)
	}
	if b.left(h.process) < n {
		return false
	}
	b.add(h, n)
	return true
}

// pushed gives back the room for n bytes of later answers.
func (h *holding) pushed(n int) {
	if h == nil || n == 0 {
		return
	}
	h.answers.mu.Lock()
	defer h.answers.mu.Unlock()
	h.answers.add(h, -n)
}

// checkReader notes how much of the sent answers the client has read. The caller must hold the lock
// of the answers' budget.
func (h *holding) checkReader() {
	if h.inPipe == 0 {
		return
	}
	n, since := h.unread()
	n = min(n, h.inPipe) // the rest is not counted as sent yet
	h.answers.add(h, n-h.inPipe)
	h.inPipe, h.sentAt = n, since
}

// sent notes that a message with answers was sent.
func (h *holding) sent(n int, inTurn bool) {
	if h == nil || !isLong(n) {
		return
	}
	b := h.answers
	b.mu.Lock()
	defer b.mu.Unlock()
	all, since := h.unread()
	change := all - h.inPipe
	if inTurn {
		made := min(h.made, n)
		h.made -= made
		change -= made
	}
	h.inPipe, h.sentAt = all, since
	b.add(h, change)
}

// end gives all room back.
func (h *holding) end() {
	if h == nil {
		return
	}
	h.requests.mu.Lock()
	defer h.requests.mu.Unlock()
	h.answers.mu.Lock()
	defer h.answers.mu.Unlock()
	h.requests.add(h, -h.requests.holds[h])
	h.answers.add(h, -h.answers.holds[h])
	h.over = true
}
