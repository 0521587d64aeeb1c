package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// peer is a client as its manager sees it.
type peer struct {
	conn *conn
	name string
	far  bool // whether the client is remote
	most int  // maximum bytes in a message

	leave  func() // called when the client is gone and everything has been cleaned up; nil for a remote client
	client *store.Client
	pushes *sync.WaitGroup
	buf    []byte
	rest   []byte       // requests that were received but not answered yet
	out    store.Writer // answers of the current turn
	holds  *holding     // what the client makes the manager hold; nil for a remote client
	owes   *debts       // later answers of all clients of its process; nil for a remote client
	slow   *lane        // the lane of clients with goroutines of their own; nil while the front serves the client
	inLane bool         // whether the client has the lane

	mu      sync.Mutex
	later   [][]byte // answers that were not ready during their turn
	bytes   int      // bytes in later, and in the answers being sent from it
	writing bool
	thrown  error // why the client was disconnected, or nil
}

// serve answers a client's requests until the client is gone. It runs in a goroutine of its own.
func (s *Server) serve(ctx context.Context, p *peer) {
	p.slow = &s.slow
	p.enter(ctx, s)
	for {
		if err := p.turn(ctx, s.store, p.patiently()); err != nil {
			p.end(ctx, s, err)
			return
		}
	}
}

// goOn is like serve, but for a client that the front no longer serves.
func (s *Server) goOn(p *peer) {
	p.slow = &s.slow
	err := p.flush(s.ctx, p.send)
	for err == nil {
		err = p.turn(s.ctx, s.store, p.patiently())
	}
	p.end(s.ctx, s, err)
}

// enter registers the client with the store.
func (p *peer) enter(ctx context.Context, s *Server) {
	p.pushes = &s.pushes
	most := p.most - 1 // without the byte for the message's type
	p.client = s.store.NewClient(p.far, most, func(call uint32, answer []byte) { p.push(ctx, call, answer) })
	if p.holds != nil {
		p.client.Bound(p.holds)
	}
}

// end cleans up when the client is gone or disconnected. It does not wait until the connection is
// closed, since that takes time: Close drops the client's unread messages one by one.
func (p *peer) end(ctx context.Context, s *Server, err error) {
	p.leaveLane()
	p.rest, p.out.B = nil, nil
	s.store.Leave(p.client)
	go p.close(s.ctx.Err() == nil)
	p.mu.Lock()
	if p.thrown != nil {
		err = p.thrown
	}
	p.mu.Unlock()
	if ctx.Err() == nil && !gone(err) {
		s.log.Warn("manager: a client was refused", "client", p.name, "error", err)
	}
}

// close closes the connection. If lost is set, answers that the client has not read are lost. When
// the manager ends, lost is not set, so that clients can still read why.
func (p *peer) close(lost bool) {
	_ = p.conn.Close()
	if lost {
		inside.EndUnread(p.conn)
	}
	p.holds.end()
	if p.leave != nil {
		p.leave()
	}
}

// A manner is how a client is served.
type manner struct {
	receive func(ctx context.Context, on *conn, buf []byte) ([]byte, error)
	send    func(ctx context.Context, b []byte) error
	// requests and bytes bound a turn. A longer turn ends with errSlow, so that the client gets a
	// goroutine for which no other client has to wait.
	requests, bytes int
	// waits means that the client has a goroutine of its own, which may wait for the client. A turn
	// that lasts too long then gives way to others instead of ending.
	waits bool
	// inTurn means that the turn has lasted too long, or is going to, so that it may continue only
	// in the lane.
	inTurn bool
	// until is the end of the turn's time; zero until the turn first checks the clock.
	until time.Time
}

// patiently returns the manner of a goroutine that serves only this client and may wait for it.
func (p *peer) patiently() manner {
	return manner{receive: p.receive, send: p.send, requests: math.MaxInt, bytes: math.MaxInt, waits: true}
}

// hastily returns the manner of the front, which must not wait.
func (p *peer) hastily() manner {
	return manner{receive: p.tryReceive, send: p.trySend, requests: maxRequests, bytes: maxAtOnce}
}

// isLate reports whether a turn has lasted too long. It checks the clock only once every manyFrames
// requests, since checking costs time.
func (m *manner) isLate() bool {
	if m.requests%manyFrames != 0 {
		return false
	}
	return m.isOver()
}

// isOver is like isLate, but always checks the clock.
func (m *manner) isOver() bool {
	now := time.Now()
	if m.until.IsZero() {
		m.until = now.Add(turnTime)
	}
	return now.After(m.until)
}

// turn answers the client's requests. When requests arrive together, it sends their answers in one
// message. On errSlow nothing is lost: the next turn continues where this one ended.
func (p *peer) turn(ctx context.Context, st *store.Store, by manner) error {
	if p.buf == nil {
		p.buf = make([]byte, bufSize)
	}

	for n, more := 0, true; more && n < atATime && by.requests > 0 && len(p.out.B) < flushAt; n++ {
		if len(p.rest) == 0 {
			message, err := by.receive(ctx, p.conn, p.buf)
			if err == nil && tooLong(len(message), p.most) {
				err = fmt.Errorf("%w: a message of %d bytes", ErrLimit, len(message))
			}
			if err != nil {
				return err
			}
			p.rest = message
			by.bytes -= len(message)
			if n > 0 && !by.waits && by.isOver() { // a client can make each message take a long time to receive
				return errSlow
			}
			by.inTurn = by.inTurn || by.waits && len(message) > maxAtOnce
		}

		if err := p.answer(ctx, st, &by); err != nil {
			return err
		}
		ready, err := p.conn.Poll(ctx, 0)
		more = ready && err == nil
	}

	return p.flush(ctx, by.send)
}

// answer answers the received requests.
func (p *peer) answer(ctx context.Context, st *store.Store, by *manner) error {
	for len(p.rest) > 0 {
		by.requests--
		late := by.isLate()
		switch {
		case by.waits && (late || by.inTurn && !p.inLane):
			if err := p.giveWay(ctx); err != nil {
				return err
			}
			by.until, by.inTurn = time.Time{}, true
		case late, by.requests < 0, by.bytes < 0:
			return errSlow
		}

		call, body, rest, err := store.NextFrame(p.rest)
		if err != nil {
			return err
		}
		at := len(p.out.B)
		if err := p.do(ctx, st, by, call, body); err != nil {
			return err
		}
		p.rest = rest
		if n := len(p.out.B) - at; tooLong(n, p.most) {
			p.holds.unmade(n)
			p.out.B = p.out.B[:at]
			p.refuse(&p.out, call, n)
		}

		if len(p.out.B) >= flushAt {
			if err := p.flush(ctx, by.send); err != nil {
				return err
			}
		}
	}

	p.rest = nil
	p.holds.requestDone()
	return nil
}

// do performs a request. If necessary, it waits for the lane and for room for the answer.
func (p *peer) do(ctx context.Context, st *store.Store, by *manner, call uint32, body []byte) error {
	do := st.DoSoon
	for {
		if p.inLane {
			do = st.Do
		}

		verdict := do(p.client, call, body, &p.out)
		switch {
		case verdict == store.Done:
			return nil
		case !by.waits:
			return errSlow
		case verdict == store.Heavy:
			if err := p.giveWay(ctx); err != nil {
				return err
			}
		default:
			do = st.DoSoon
			if err := p.awaitRoom(ctx, by.send); err != nil {
				return err
			}
		}
	}
}

// awaitRoom waits until there is room for the longest answer. First it sends the answers that are
// ready, since other clients might be waiting for the room that these answers take.
func (p *peer) awaitRoom(ctx context.Context, send func(ctx context.Context, b []byte) error) error {
	if err := p.flush(ctx, send); err != nil {
		return err
	}
	p.leaveLane()
	return p.holds.awaitAnswer(ctx)
}

// flush sends the answers in as many messages as they need. On error the unsent answers stay in
// p.out.
func (p *peer) flush(ctx context.Context, send func(ctx context.Context, b []byte) error) error {
	for len(p.out.B) > 0 {
		n := atMost(p.out.B, p.most)
		if err := send(ctx, p.out.B[:n]); err != nil {
			return err
		}
		p.holds.sent(n, true)
		p.out.B = p.out.B[:copy(p.out.B, p.out.B[n:])]
	}
	if cap(p.out.B) > maxPooled {
		p.out.B = nil
	}
	return nil
}

func (p *peer) refuse(out *store.Writer, call uint32, n int) {
	out.Fail(call, fmt.Errorf("%w: an answer of %d bytes, where a message may have %d: ask for less at a time", ErrLimit, n, p.most))
}

func (p *peer) trySend(_ context.Context, b []byte) error {
	err := p.conn.TrySendBytes(b)
	if errors.Is(err, ipc.ErrFull) {
		return errSlow
	}
	return err
}

// send sends answers, however long the client takes to read them: the client may be slow or
// stopped. Meanwhile, none of the client's requests are read, and push bounds its later answers.
func (p *peer) send(ctx context.Context, b []byte) error {
	p.leaveLane()
	return p.sendSlowly(ctx, b)
}

func (p *peer) sendSlowly(ctx context.Context, b []byte) error {
	defer p.holds.waitsToSend()()
	return p.conn.SendBytes(ctx, b)
}

// push sends an answer without making the caller wait.
func (p *peer) push(ctx context.Context, call uint32, answer []byte) {
	if tooLong(len(answer), p.most) {
		var w store.Writer
		p.refuse(&w, call, len(answer))
		answer = w.B
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thrown != nil {
		return
	}

	if !p.holds.push(len(answer)) {
		var w store.Writer
		w.Fail(call, errFull)
		answer = w.B
	}
	p.later = append(p.later, answer)
	p.bytes += len(answer)
	all := p.bytes
	if p.owes != nil {
		all = p.owes.add(p.process(), len(answer))
	}

	if len(p.later) > 1 && all > p.maxLater() {
		p.forget()
		p.cut()
		return
	}
	if !p.writing {
		p.writing = true
		p.pushes.Go(func() { p.pushAll(ctx) })
	}
}

// forget drops the later answers that are not being sent. The caller must hold p.mu.
func (p *peer) forget() {
	n := 0
	for _, b := range p.later {
		n += len(b)
	}
	p.later = nil
	p.paid(n)
}

// paid notes that n bytes of later answers have been sent or dropped. The caller must hold p.mu.
func (p *peer) paid(n int) {
	p.bytes -= n
	if p.owes != nil {
		p.owes.add(p.process(), -n)
	}
}

// cut disconnects a client that does not read. The caller must hold p.mu.
func (p *peer) cut() {
	if p.thrown == nil {
		p.thrown = errUnread
		go p.conn.Close()
	}
}

// maxLater returns how many bytes of later answers a remote client, or all clients of a local
// process together, may leave unread.
func (p *peer) maxLater() int {
	if p.far {
		return maxLater
	}
	return maxLaterHere
}

var errFull = fmt.Errorf("%w: the answer is lost, since clients have not read other long ones", ErrLimit)

var errUnread = fmt.Errorf("%w: answers that it does not read", ErrLimit)

func (p *peer) pushAll(ctx context.Context) {
	bytes := 0
	for {
		p.mu.Lock()
		p.paid(bytes) // the answers of the previous round have been sent
		all := p.later
		bytes = p.bytes
		p.later = nil
		p.writing = len(all) > 0
		p.mu.Unlock()
		if len(all) == 0 {
			return
		}
		pushed := 0
		for _, b := range all {
			if isLong(len(b)) {
				pushed += len(b)
			}
		}

		if !p.far && !tooLong(bytes, p.most) {
			all = [][]byte{slices.Concat(all...)}
		}

		for _, b := range all {
			if p.sendSlowly(ctx, b) != nil {
				_ = p.conn.Close()
				continue
			}
			p.holds.sent(len(b), false)
		}

		p.holds.pushed(pushed)
	}
}

// gone reports whether an error means that the other side has closed the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, mp.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}

// errSlow means that there is no room for a client's answers, or that a client asks for more at a
// time than the front can do. No answers or requests are lost.
var errSlow = errors.New("slow")

// receive waits for a message, and for room if the message is long.
func (p *peer) receive(ctx context.Context, on *conn, buf []byte) ([]byte, error) {
	p.leaveLane() // even if a message is ready, since the client can make it take a long time to receive
	if p.holds == nil {
		return receive(ctx, on, buf)
	}

	for ready := false; !ready; {
		var err error
		if ready, err = on.Poll(ctx, longWait); err != nil {
			return nil, err
		}
	}

	n := inside.NextOfConn(on)
	if n <= len(buf) {
		return receive(ctx, on, buf)
	}
	if n > p.most { // one of these bytes may be the message's type
		return nil, fmt.Errorf("%w: a message of %d bytes", ErrLimit, n)
	}
	if err := p.holds.awaitRequest(ctx, n); err != nil {
		return nil, err
	}
	if n > maxAtOnce {
		if err := p.giveWay(ctx); err != nil {
			return nil, err
		}
	}

	return p.receiveLong(n)
}

// longWait is how long one call to Poll waits.
const longWait = time.Hour

// receiveLong receives a message for which there is room. The message's size n was read from memory
// that the client can write to, so receiveLong checks that the message is no longer than n.
func (p *peer) receiveLong(n int) ([]byte, error) {
	inside.BoundNext(p.conn, n)
	defer inside.BoundNext(p.conn, bufSize)
	b, err := p.conn.TryRecvBytes()
	if errors.Is(err, ipc.ErrEmpty) {
		err = errVanished
	}
	return b, err
}

// tryReceive is like receive, but does not wait. The caller knows that there is a request, and no
// other goroutine receives from this connection. So if the request is gone, the connection's memory
// was overwritten.
func (p *peer) tryReceive(_ context.Context, on *conn, buf []byte) ([]byte, error) {
	if n := inside.NextOfConn(on); n > len(buf) {
		if n > maxAtOnce || !p.holds.tryRequest(n) {
			return nil, errSlow
		}
		return p.receiveLong(n)
	}
	n, err := on.TryRecvInto(buf)
	if errors.Is(err, io.ErrShortBuffer) {
		buf, err = on.TryRecvBytes()
		n = len(buf)
	}
	if errors.Is(err, ipc.ErrEmpty) {
		err = errVanished
	}
	return buf[:n], err
}

var errVanished = fmt.Errorf("%w: a request has vanished", ipc.ErrCorrupt)

// giveWay puts the client in the queue for the lane, behind the other waiters, and waits until the
// client has the lane or ctx ends.
func (p *peer) giveWay(ctx context.Context) error {
	p.leaveLane()
	if err := p.slow.enter(ctx, p.process()); err != nil {
		return err
	}
	p.inLane = true
	return ctx.Err()
}

// leaveLane passes the lane on. It is called before the client's goroutine waits for anything else.
func (p *peer) leaveLane() {
	if p.inLane {
		p.inLane = false
		p.slow.leave()
	}
}

// process returns the number of the client's process, or 0 for all remote clients.
func (p *peer) process() uint64 {
	if p.holds == nil {
		return 0
	}
	return p.holds.process
}
