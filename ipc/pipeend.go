package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// pipeEnd is an end of a pipe. This process has it, or had it.
type pipeEnd struct {
	mem    *objects.Object
	pipe   *xsync.Pipe
	end    int
	oneWay bool
	most   int // maximum size of a message, without the first byte
	// maxNext limits the size in bytes of messages that are received here. If it is 0, there is no
	// separate limit.
	maxNext atomic.Int64
	// carries says that messages may carry objects or files, which must be released with the
	// messages.
	carries bool
	epoch   atomic.Uint32 // how often the end has moved
	use     atomic.Int32  // number of users; negative if the end was sent
	closed  atomic.Bool   // whether the user has closed it
	left    atomic.Bool   // whether the end was sent for good
	gone    atomic.Bool   // whether the memory was let go

	unread unreleased // messages sent here

	drop atomic.Pointer[func([]byte)] // the argument of shut, in case the end comes back
}

// away is added to the number of users while the end is not here. The number of users is always
// smaller than its absolute value.
const away = math.MinInt32 / 2

// enter counts a user of the end until leave. It returns an error if the end cannot be used.
func (e *pipeEnd) enter() error {
	if e.use.Add(1) < 0 {
		e.use.Add(-1)
		return ErrMoved
	}
	if e.closed.Load() {
		e.use.Add(-1)
		return ErrClosed
	}
	return nil
}

func (e *pipeEnd) leave() { e.use.Add(-1) }

func (e *pipeEnd) maySend() error {
	if e.oneWay && e.end == receivingEnd {
		return ErrDirection
	}
	return nil
}

func (e *pipeEnd) mayReceive() error {
	if e.oneWay && e.end != receivingEnd {
		return ErrDirection
	}
	return nil
}

func (e *pipeEnd) send(ctx context.Context, b []byte) error {
	if err := e.fits(len(b)-1, "encoded"); err != nil {
		return err
	}
	p := e.spillWriter()
	p.ctx = ctx
	return e.sendError(p.sent(e.pipe.Sent(e.end).Put(ctx, b, p.put, p.drop)))
}

// sendBytes sends bytes. Large messages are not copied before they are stored outside the ring:
// instead of a first byte, a flag in the reference to the message says how the message was sent.
func (e *pipeEnd) sendBytes(ctx context.Context, b []byte) error {
	if e.pipe.Sent(e.end).FitsIn(len(b)) {
		return asCopy(b, func(message []byte) error { return e.send(ctx, message) })
	}
	if err := e.fits(len(b), "encoded"); err != nil {
		return err
	}
	p := e.spillWriter()
	p.ctx = ctx
	p.bytes = true
	return e.sendError(p.sent(e.pipe.Sent(e.end).Put(ctx, b, p.put, p.drop)))
}

func (e *pipeEnd) trySend(b []byte) error {
	if err := e.fits(len(b)-1, "encoded"); err != nil {
		return err
	}
	p := e.spillWriter()
	return e.sendError(p.sent(e.pipe.Sent(e.end).TryPut(b, p.put, p.drop)))
}

func (e *pipeEnd) trySendBytes(b []byte) error {
	if e.pipe.Sent(e.end).FitsIn(len(b)) {
		return asCopy(b, e.trySend)
	}
	if err := e.fits(len(b), "encoded"); err != nil {
		return err
	}
	p := e.spillWriter()
	p.bytes = true
	return e.sendError(p.sent(e.pipe.Sent(e.end).TryPut(b, p.put, p.drop)))
}

// spillWriter returns a spillWriter for a message. Unless its ctx is set, the spillWriter does not
// wait for room.
func (e *pipeEnd) spillWriter() spillWriter {
	return spillWriter{spill: e.spill(), list: &e.unread, ring: e.pipe.Sent(e.end)}
}

// spill returns the store for messages that are too large for the ring. Except for those that
// SendBytes sent, each message begins with a byte that says how it was sent, so the store's limit
// is one byte higher than that of a message.
func (e *pipeEnd) spill() spill { return spill{e.mem, max(e.most, e.most+1)} }

func (e *pipeEnd) longest() int { return e.most }

// fits returns an error if a message of n bytes is too long.
func (e *pipeEnd) fits(n int, doing string) error {
	if n <= e.most {
		return nil
	}
	return tooLong("message", doing, n, "MaxMessage", e.most)
}

func (e *pipeEnd) sendError(err error) error {
	if errors.Is(err, errs.ErrClosed) && !e.closed.Load() {
		return io.ErrClosedPipe
	}
	return err
}

func (e *pipeEnd) receive(ctx context.Context, buf []byte) ([]byte, error) {
	rec, err := e.received().Get(ctx, buf)
	return e.got(ctx, buf, rec, err)
}

func (e *pipeEnd) tryReceive(buf []byte) ([]byte, error) {
	rec, err := e.received().TryGet(buf)
	return e.got(context.Background(), buf, rec, err)
}

// got appends a received message to buf.
func (e *pipeEnd) got(ctx context.Context, buf []byte, rec xsync.Record, err error) ([]byte, error) {
	switch {
	case errors.Is(err, errs.ErrClosed) && !e.closed.Load():
		return buf, io.EOF
	case err != nil:
		return buf, err
	case !rec.Spilled:
		n := len(rec.Bytes) - len(buf) - 1
		if most := e.maxNext.Load(); most > 0 && int64(n) > most {
			return rec.Bytes, codecError("message", "decoded", fmt.Errorf("%w: %d bytes, where only %d were expected", ErrTooLong, n, most))
		}
		return rec.Bytes, e.fits(n, "decoded")
	}

	ref, begin := append([]byte(nil), rec.Bytes[len(buf):]...), len(buf)
	if e.spill().isBytes(ref) {
		buf = append(buf, byBytes)
	}

	b, err := e.nextFrom().take(ctx, ref, buf)
	e.received().Released()
	if err != nil {
		return b, unreadable("message", err)
	}
	return b, e.fits(len(b)-begin-1, "decoded")
}

// nextFrom is like spill, but for messages that are received.
func (e *pipeEnd) nextFrom() spill {
	o := e.spill()
	if n := e.maxNext.Load(); n > 0 {
		o.most = min(o.most, int(n)+1)
	}
	return o
}

// nextSpill returns how many bytes the next message claims to have if the message is stored outside
// the ring, else 0.
func (e *pipeEnd) nextSpill() int {
	if e.enter() != nil {
		return 0
	}
	defer e.leave()
	var ref [xsync.SpillSize]byte
	if !e.received().NextSpill(ref[:]) {
		return 0
	}
	return int(min(lengthOf(ref[:]), math.MaxInt64))
}

func (e *pipeEnd) foresee(f func(message []byte)) {
	e.received().Foresee(e.spill().foreseeing(f))
}

func (e *pipeEnd) received() *xsync.Ring { return e.pipe.Received(e.end) }

func (e *pipeEnd) readyNow() bool { return e.received().ReadyNow() }

func (e *pipeEnd) await(ctx context.Context) error { return e.received().Ready(ctx) }

func (e *pipeEnd) enlist(s *selection) (stop func()) {
	if s.watch == nil || e.enter() != nil { // it was closed meanwhile
		return nothing
	}
	s.watch.Ring(e.received())
	return e.leave
}

// shut closes the end. An end that was sent is closed when it comes back. shut calls drop for each
// message that was not received.
func (e *pipeEnd) shut(drop func([]byte)) {
	e.drop.Store(&drop)
	switch {
	case e.closed.Swap(true):
	case e.use.Load() >= 0:
		e.closeHere(drop)
	case e.left.Load():
		e.release(false)
	}
}

// forget is like shut, but for an end that is no longer reachable.
func (e *pipeEnd) forget(drop func([]byte)) {
	if e.use.Load() < 0 {
		e.release(false) // the receiver has the end
		return
	}
	e.shut(drop)
}

// closeHere closes an end that this process has.
func (e *pipeEnd) closeHere(drop func([]byte)) {
	last := e.pipe.CloseEnd(e.end, e.epoch.Load())
	l := leftovers{spill: e.nextFrom(), carries: e.carries, drop: func(message []byte) { ofValue(message, drop) }}
	l.takeFrom(e.received())
	if last {
		l.takeFrom(e.pipe.Sent(e.end))
	}
	l.dropAll(func() { e.release(last) })
}

// abandon closes an end whose message type is not known here. Messages that were not received are
// dropped when the other end is closed.
func (e *pipeEnd) abandon() {
	e.closed.Store(true)
	e.release(e.pipe.CloseEnd(e.end, e.epoch.Load()))
}

// release lets the memory go: for all processes if the last end is closed.
func (e *pipeEnd) release(last bool) {
	if last {
		e.pipe.Close()
		e.mem.End()
		e.unread.end()
	}
	if e.gone.Swap(true) {
		return
	}
	if last || e.unread.atMost(0) {
		e.mem.Close()
		return
	}
	e.awaitEnd(firstPause)
}

// awaitEnd lets the memory go when the receiver has released all messages that were sent here, or
// when both ends are closed, in which case the messages end too.
func (e *pipeEnd) awaitEnd(pause time.Duration) {
	time.AfterFunc(pause, func() {
		switch {
		case e.pipe.Over():
			e.unread.end()
		case !e.unread.atMost(0):
			e.awaitEnd(min(2*pause, time.Second))
			return
		}
		e.mem.Close()
	})
}

// depart lets the end leave with a message.
func (e *pipeEnd) depart(forGood bool) error {
	if !e.use.CompareAndSwap(0, away) {
		if e.use.Load() < 0 {
			return ErrMoved
		}
		return errInUse
	}
	epoch, ok := e.pipe.Depart(e.end, e.epoch.Load(), forGood)
	if !ok {
		e.use.Add(-away)
		return ErrClosed
	}
	e.epoch.Store(epoch)
	e.left.Store(forGood)
	return nil
}

// comeBack takes the end back, unless another process has taken it.
func (e *pipeEnd) comeBack() {
	if e.use.Load() >= 0 || !e.pipe.Arrive(e.end, e.epoch.Load()) {
		return
	}
	e.use.Add(-away)
	if e.closed.Load() { // while it was away
		e.closeHere(*e.drop.Load())
	}
}

// settle lets the end stay on its way even if this process dies.
func (e *pipeEnd) settle() {
	if e.use.Load() >= 0 {
		return
	}
	e.pipe.Settle(e.end, e.epoch.Load())
	e.left.Store(true)
	if e.closed.Load() { // while it was away
		e.release(false)
	}
}

// lose closes the end if it is still on its way.
func (e *pipeEnd) lose() {
	if e.use.Load() < 0 && !e.gone.Load() {
		e.release(e.pipe.Lose(e.end, e.epoch.Load()))
	}
}

// ticketSize is the size of a ticket, which another process needs to take an end that is on its
// way.
const ticketSize = objects.TokenSize + 6

func (e *pipeEnd) ticket() ([]byte, error) {
	if e.use.Load() >= 0 {
		return nil, errSpilled
	}
	t, err := e.mem.Token()
	if err != nil {
		return nil, err
	}
	b := append(t.Append(nil), byte(e.end), 0)
	if e.oneWay {
		b[len(b)-1] = 1
	}
	return binary.LittleEndian.AppendUint32(b, e.epoch.Load()), nil
}

// arrive takes over the end that a ticket names. The end's messages have at most the given number
// of bytes, and may carry objects or files if carries is set.
func arrive(ticket []byte, most int, carries bool) (*pipeEnd, error) {
	e, err := attachEnd(ticket)
	if err != nil {
		return nil, err
	}
	if !e.pipe.Arrive(e.end, e.epoch.Load()) {
		e.release(false)
		return nil, ErrMoved
	}
	e.most, e.carries = most, carries
	return e, nil
}

// loseEnd closes the end that a ticket names, unless another process has the end. This process must
// not have had the end before (see notHere).
func loseEnd(ticket []byte) {
	if e, err := attachEnd(ticket); err == nil {
		e.pipe.Arrive(e.end, e.epoch.Load())
		e.abandon()
	}
}

// hasEnd reports whether this process has the end that a ticket names.
func hasEnd(ticket []byte) bool {
	e, err := attachEndBy(objects.AttachMapped, ticket)
	if err != nil {
		return false
	}
	defer e.release(false)
	return e.pipe.Has(e.end, e.epoch.Load())
}

// attachEnd returns the end that a ticket names. Another process may have that end.
func attachEnd(ticket []byte) (*pipeEnd, error) { return attachEndBy(objects.Attach, ticket) }

func attachEndBy(attach func(objects.Token) (*objects.Object, error), ticket []byte) (*pipeEnd, error) {
	t, rest, err := objects.ParseToken(ticket, xsync.KindPipe)
	if err != nil {
		return nil, err
	}
	obj, err := attach(t)
	if err != nil {
		return nil, err
	}

	n := len(obj.Bytes()) - xsync.PipeHead
	if rest[0] > 1 || rest[1] > 1 || n < 2*minBuffer || n > 2*maxBuffer || n%16 != 0 {
		obj.Close()
		return nil, errNoConn
	}

	e := &pipeEnd{mem: obj, most: defaultMost, pipe: xsync.OpenPipe(obj.Memory(), obj.Bytes()[xsync.PipeHead:]), end: int(rest[0]), oneWay: rest[1] == 1}
	e.epoch.Store(binary.LittleEndian.Uint32(rest[2:]))
	return e, nil
}
