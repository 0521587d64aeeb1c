package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// spill stores messages for which there is no room in an object. Like slabs, they are stored in
// blocks, so that the memory is used again. Very large messages are stored in segments of their
// own.
type spill struct {
	in   *objects.Object
	most int // maximum size of a message
}

// The ref of a message in a block consists of the token of the block's head, the message's length,
// and the block's epoch with flags. The ref of a message in a segment of its own is the one that
// objects.Object.Spill returns, and has neither flag.
const (
	refOffset = 8
	refGen    = 12
	refLength = 16 // five bytes
	refEpoch  = 21 // 20 bits, then the flags
	refFlags  = 23

	inBlock = 0x80
	asBytes = 0x40 // the message has no first byte that says how it was sent

	// maxInBlock is the maximum size of a message in a block, whose memory is kept for later
	// messages.
	maxInBlock = 16 << 20
)

// spillWriter is a message that is being sent. The memory of the message leaves this process for
// good when the message has been sent. If this process dies before that, the memory is freed.
type spillWriter struct {
	spill
	bytes bool // the message has no first byte that says how it was sent
	list  *unreleased
	ring  *xsync.Ring
	ctx   context.Context // ends the wait for room; nil means no waiting
	ref   []byte
	out   sentSpill
}

// put stores the message outside.
func (p *spillWriter) put(b []byte) (ref []byte, err error) {
	if err := p.list.await(p.ctx, p.ring); err != nil {
		return nil, err
	}
	if ref, err = p.spill.put(b, &p.out); err != nil {
		return nil, err
	}
	if p.bytes {
		ref[refFlags] |= asBytes
	}
	p.ref = ref
	return ref, nil
}

// sent must be called with the result of sending the message, which it returns.
func (p *spillWriter) sent(err error) error {
	if err != nil || p.ref == nil {
		return err
	}
	if p.out.block != nil {
		blocks.settle(headOf(p.ref), epochOf(p.ref))
	}
	p.list.add(p.out)
	return nil
}

// put stores a message and returns a reference to it. It describes the message in out.
func (o spill) put(b []byte, out *sentSpill) (ref []byte, err error) {
	out.size, out.at = len(b), time.Now()
	if len(b) > maxInBlock {
		ref, err = o.in.Spill(b)
		copy(out.ref[:], ref)
		return ref, err
	}

	h, err := blocks.get(len(b))
	if err != nil {
		return nil, err
	}
	ref, err = o.refOf(h, len(b))
	if err == nil {
		copy(h.block.data.Data(), b)
		err = h.Depart(false)
	}
	if err != nil {
		h.free()
		return nil, err
	}

	out.block, out.claims = h.block, h.claims
	var epoch [4]byte
	binary.LittleEndian.PutUint32(epoch[:], h.epoch)
	copy(ref[refEpoch:], epoch[:3])
	ref[refFlags] |= inBlock
	return ref, nil
}

// refOf returns the ref of a message in a block that has not departed yet.
func (o spill) refOf(h *holding, n int) ([]byte, error) {
	if err := h.block.carryIn(o.in); err != nil {
		return nil, err
	}
	if _, err := h.block.data.Token(); err != nil { // so that other processes can fetch it
		return nil, err
	}
	t, err := h.block.head.Token()
	if err != nil {
		return nil, err
	}

	ref := binary.LittleEndian.AppendUint64(make([]byte, 0, xsync.SpillSize), t.Segment)
	ref = binary.LittleEndian.AppendUint32(ref, t.Offset)
	ref = binary.LittleEndian.AppendUint32(ref, t.Gen)
	ref = binary.LittleEndian.AppendUint64(ref, uint64(n))
	return ref[:xsync.SpillSize], nil
}

// isBytes reports whether the message was sent as bytes.
func (o spill) isBytes(ref []byte) bool { return ref[refFlags]&asBytes != 0 }

// defaultMost is the default maximum size of an element or a message.
const defaultMost = 1 << 30

// maxOf returns the limit that an option sets, or the default if set is 0.
func maxOf(set int, option string) (int, error) {
	if set < 0 {
		return 0, fmt.Errorf("%s is %d: it must not be negative", option, set)
	}
	if set == 0 {
		return defaultMost, nil
	}
	return set, nil
}

// tooLong returns the error for a message of n bytes where an option allows only most bytes.
func tooLong(what, doing string, n int, option string, most int) error {
	return codecError(what, doing, fmt.Errorf("%w: %d bytes, and %s is %d", ErrTooLong, n, option, most))
}

// unreadable returns the error for a message that is lost because it could not be taken. It returns
// ErrClosed unchanged, since that error concerns all messages.
func unreadable(what string, err error) error {
	if errors.Is(err, errs.ErrClosed) {
		return err
	}
	return codecError(what, "decoded", err)
}

var errSenderDied = errors.New("its sender died just when it sent it")

// readOn is how long the receiver goes on reading a message that it has taken after its context has
// ended. After that, it gives the message up, and the message is lost.
var readOn = time.Second

// readingUntil returns a function that a receiver with the context ctx calls again and again while
// it reads a message. It returns an error when the receiver must give up.
func readingUntil(ctx context.Context) func() error {
	var over time.Time
	return func() error {
		switch {
		case ctx.Err() == nil:
		case over.IsZero():
			over = time.Now()
		case time.Since(over) > readOn:
			return fmt.Errorf("%v after the end of the context it is given up, and lost: %w", readOn, cause.Of(ctx))
		}
		return nil
	}
}

// take appends to buf the message that ref refers to, and uses ref up. It returns errSenderDied if
// the sender died between the last two steps of sending. After ctx has ended, take goes on for
// readOn.
func (o spill) take(ctx context.Context, ref, buf []byte) ([]byte, error) {
	if ref[refFlags]&inBlock == 0 {
		return o.in.Unspill(ref, buf, o.most, readingUntil(ctx))
	}

	length := lengthOf(ref)
	if length > uint64(min(o.most, maxInBlock)) {
		_ = loseBlock(headOf(ref), epochOf(ref))
		return buf, fmt.Errorf("%w: %d bytes", ErrTooLong, length)
	}

	h, err := blocks.arriveAt(headOf(ref), epochOf(ref))
	if errors.Is(err, ErrMoved) || errors.Is(err, segments.ErrGone) {
		return buf, errSenderDied
	}
	if err != nil {
		loseSoon(headOf(ref), epochOf(ref), firstPause)
		return buf, err
	}

	defer h.free()
	if err := h.block.data.Pin(); err != nil { // the block's maker may have given it up
		return buf, errSenderDied
	}
	defer h.block.data.Unpin()
	if data := h.block.data.Data(); length <= uint64(len(data)) {
		return append(buf, data[:length]...), nil
	}
	return buf, errBadMessage
}

// foreseeing returns a function that attaches the memory of a message before the message is taken.
// For a message that is not stored outside the ring, the function calls f.
func (o spill) foreseeing(f func(message []byte)) func(xsync.Record) {
	return func(rec xsync.Record) {
		switch {
		case !rec.Spilled:
			f(rec.Bytes)
		case rec.Bytes[refFlags]&inBlock != 0:
			blocks.know(headOf(rec.Bytes))
		}
	}
}

// lengthOf returns the length in a ref. Another process may have written any number there.
func lengthOf(ref []byte) uint64 {
	if ref[refFlags]&inBlock == 0 {
		return binary.LittleEndian.Uint64(ref[refOffset:])
	}
	var n [8]byte
	copy(n[:5], ref[refLength:])
	return binary.LittleEndian.Uint64(n[:])
}

// drop uses up a message that no process will take.
func (o spill) drop(ref []byte) {
	if ref[refFlags]&inBlock == 0 {
		o.in.DropSpilled(ref)
		return
	}
	_ = loseBlock(headOf(ref), epochOf(ref))
}

func headOf(ref []byte) objects.Token {
	return objects.Token{
		Segment: binary.LittleEndian.Uint64(ref),
		Offset:  binary.LittleEndian.Uint32(ref[refOffset:]),
		Gen:     binary.LittleEndian.Uint32(ref[refGen:]),
		Size:    xsync.Small,
		Kind:    xsync.KindOwnership,
	}
}

func epochOf(ref []byte) uint32 {
	return uint32(ref[refEpoch]) | uint32(ref[refEpoch+1])<<8 | uint32(ref[refEpoch+2]&0xf)<<16
}

// leftovers are messages in closed rings, which no process will receive. Any process that has the
// rings may have written the messages: all of them may name the same memory, of any size. Therefore
// dropping all of them must cost little more than dropping one message, and must not delay the
// caller that closes the rings.
type leftovers struct {
	spill
	carries bool // messages may carry objects or files
	drop    func(message []byte)
	records []xsync.Record
}

const (
	// takingLeftovers limits the time for taking the records out of one ring, since another process
	// may take the lock again and again. Records that are still in the ring are released with it.
	takingLeftovers = time.Second
	// droppingLeftovers is how long the caller waits for the messages to be dropped. Dropping goes
	// on after that.
	droppingLeftovers = time.Second
	// minRead is the minimum number of bytes of messages outside the rings that are read in order
	// to release the objects in them. Messages beyond that are dropped unread, unless the limit on
	// a single message is higher.
	minRead = 256 << 20
)

// takeFrom takes the records out of a ring. It reads the ring's length only once, because a corrupt
// process could keep the ring from ever looking empty.
func (l *leftovers) takeFrom(r *xsync.Ring) {
	begun := time.Now()
	for range r.Len() {
		if time.Since(begun) > takingLeftovers {
			return
		}
		rec, err := r.TryGet(nil)
		if err != nil {
			return
		}
		if rec.Spilled || l.carries {
			l.records = append(l.records, rec)
		}
	}
}

// dropAll drops the messages and then calls release.
func (l *leftovers) dropAll(release func()) {
	if len(l.records) == 0 {
		release()
		return
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		defer release()
		l.dropEach()
	}()

	limit := time.NewTimer(droppingLeftovers)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

func (l *leftovers) dropEach() {
	left := uint64(max(l.most, minRead))
	for _, rec := range l.records {
		if !rec.Spilled {
			l.drop(rec.Bytes)
			continue
		}

		n := lengthOf(rec.Bytes)
		if !l.carries || l.isBytes(rec.Bytes) || n > min(left, uint64(l.most)) {
			l.spill.drop(rec.Bytes)
			continue
		}
		left -= n
		if b, err := l.take(context.Background(), rec.Bytes, nil); err == nil {
			l.drop(b)
		}
	}
}
