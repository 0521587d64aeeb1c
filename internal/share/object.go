package share

import (
	"errors"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/broker"
	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Object is a piece of shared memory as this process knows it. It is safe for
// concurrent use.
type Object struct {
	seg     *segment
	off     int
	size    int
	gen     uint32
	kind    xsync.Kind
	owner   atomic.Bool // closing it ends it for everybody
	closed  atomic.Bool
	offered atomic.Bool // by the sender of a token that was met
	here    atomic.Bool // somebody in this process has it
	exposed atomic.Bool // somebody may use the memory without the object
	views   int         // under the heap's lock
}

// New makes an object of zeros. Alone gives it a segment of its own.
func New(kind xsync.Kind, size int, alone bool) (*Object, error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if kind == xsync.KindData && size <= largest && !alone {
		size += xsync.Small // for its generation
	}
	s, off, err := h.alloc(kind, size, alone)
	if err != nil {
		return nil, err
	}
	return h.object(s, off, size, kind), nil
}

// object is one that this process has made; under the lock.
func (h *heap) object(s *segment, off, size int, kind xsync.Kind) *Object {
	h.gen++
	if h.gen == 0 {
		h.gen++
	}
	o := &Object{seg: s, off: off, size: size, gen: h.gen, kind: kind}
	o.owner.Store(true)
	return o
}

// Wrap makes an object of a segment that exists already. It takes both over.
func Wrap(fd int, mem []byte) (*Object, error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin(); err != nil {
		return nil, err
	}
	s := &segment{id: h.newID(), made: true, fd: fd, mem: mem, live: 1, loose: true}
	h.segments[s.id] = s
	return h.object(s, 0, len(mem), xsync.KindData), nil
}

// Made says that the object is ready to be met and looked after.
func (o *Object) Made() {
	o.here.Store(true)
	if o.seg.arena {
		o.seg.mem[o.off/line] = byte(o.kind)
	}
}

// Bytes is the object's memory. What happens to it after Close is in the package's
// comment.
func (o *Object) Bytes() []byte { return o.seg.mem[o.off : o.off+o.size : o.off+o.size] }

// Data is the memory of an object of KindData.
func (o *Object) Data() []byte {
	if o.seg.arena {
		return o.Bytes()[xsync.Small:]
	}
	return o.Bytes()
}

// Loose reports whether somebody could make the memory smaller, so that touching it ends
// in a fault: it has a name, or a corrupt process has made it.
func (o *Object) Loose() bool { return o.seg.loose }

// Foreign reports whether another process has made the segment that the object has for itself.
func (o *Object) Foreign() bool { return !o.seg.made && !o.seg.arena }

// ReadWritten is for an object that is Foreign and pinned. It calls buffer with how many bytes of its memory were
// ever written, and fills what that returns from the beginning of the object.
func (o *Object) ReadWritten(buffer func(written int64) ([]byte, error)) error {
	h := &here
	h.mu.Lock()
	if o.Gone() || h.segments[o.seg.id] != o.seg {
		h.mu.Unlock()
		return errs.ErrClosed
	}
	f, err := h.dir.Fetch(o.seg.id) // without a Drop, which would be for the mapping as well
	h.mu.Unlock()
	if errors.Is(err, broker.ErrGone) {
		return errs.ErrClosed
	}
	if err != nil {
		return err
	}
	defer shm.CloseFD(f.FD)
	written, err := shm.Allocated(f.FD)
	if err != nil {
		return err
	}
	b, err := buffer(written)
	if err != nil {
		return err
	}
	return shm.Read(f.FD, b)
}

// Small reports whether the object lies among others, or is looked after.
func (o *Object) Small() bool { return o.seg.arena }

// Memory is the object's for package xsync.
func (o *Object) Memory() xsync.Memory {
	return xsync.Memory{Lot: here.lot, Bytes: o.Bytes(), Gen: o.gen, Bucket: bucket(o.seg.id, o.off)}
}

// bucket spreads objects over the buckets, in all processes alike.
func bucket(id uint64, off int) uint32 {
	h := (id ^ uint64(off/line)) * 0x9e3779b97f4a7c15
	return uint32(h >> 40)
}

// Token is what another process can meet the object with. The first of a segment costs
// a question to the broker.
func (o *Object) Token() (Token, error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.closed.Load() {
		return Token{}, errs.ErrClosed
	}
	if err := h.publish(o.seg); err != nil {
		return Token{}, err
	}
	return Token{
		Segment: o.seg.id, Offset: uint32(o.off), Gen: o.gen, Size: uint64(o.size), Kind: o.kind,
		Owned: o.owner.Load(),
	}, nil
}

// Meet returns the object that a token stands for.
func Meet(t Token) (*Object, error) {
	here.mu.Lock()
	defer here.mu.Unlock()
	return here.meet(t)
}

// MeetAgain is Meet for an object in memory that this process has already; for others it returns an error. It
// asks no other process.
func MeetAgain(t Token) (*Object, error) {
	here.mu.Lock()
	defer here.mu.Unlock()
	if here.segments[t.Segment] == nil {
		return nil, broker.ErrGone
	}
	return here.meet(t)
}

// meet is Meet with the lock held.
func (h *heap) meet(t Token) (*Object, error) {
	s, err := h.fetch(t.Segment)
	if err != nil {
		return nil, err
	}
	if err := fits(t, s); err != nil {
		h.retireIfEmpty(s)
		return nil, err
	}
	s.live++
	return &Object{seg: s, off: int(t.Offset), size: int(t.Size), gen: t.Gen, kind: t.Kind}, nil
}

// fits checks a token, which anybody may have made up, against the segment.
func fits(t Token, s *segment) error {
	size := uint64(len(s.mem))
	least := uint64(0)
	if s.arena {
		least = uint64(firstLineOf(len(s.mem))) * line
	}
	off := uint64(t.Offset)
	switch {
	case t.Size > size || off > size-t.Size || off%line != 0 || off < least:
		return errNoToken
	case s.arena && (!t.Kind.IsObject() || t.Size < uint64(t.Kind.Size())), !s.arena && t.Kind != xsync.KindData:
		return errNoToken
	case s.arena && shm.Word64(s.mem, int(off)).Load()>>32 != uint64(t.Gen):
		return broker.ErrGone
	}
	return nil
}

// Close lets go of the object, and ends it for everybody if this process owns it. It
// reports whether it was open.
func (o *Object) Close() bool {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.closed.Swap(true) {
		return false
	}
	s, ours := o.seg, o.seg.made
	switch owned := o.owner.Load() && h.segments[s.id] == s; {
	case s.arena && owned:
		s.mem[o.off/line] = byte(xsync.KindNone)
	case owned && !ours && !s.gone.Swap(true):
		h.dir.Destroy(s.id)
	}
	if o.views == 0 && h.segments[s.id] == s {
		h.free(s)
	}
	return true
}

// Expose says that memory of its own may be in use as long as the process lives, though nobody has
// the object any more.
func (o *Object) Expose() {
	if !o.exposed.Load() {
		o.exposed.Store(true)
	}
}

// Forget is Close for an object that nobody in this process can reach any more. Memory
// of its own that was exposed stays mapped.
func (o *Object) Forget() {
	if o.seg.arena || !o.exposed.Load() {
		o.owner.Store(false)
		o.Close()
	}
}

// Gone reports whether it was closed, or the segment that it has for itself was
// destroyed.
func (o *Object) Gone() bool { return o.closed.Load() || o.seg.gone.Load() }

// Pin keeps the memory mapped until Unpin, whoever closes the object.
func (o *Object) Pin() error {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.Gone() {
		return errs.ErrClosed
	}
	o.views++
	o.seg.views++
	return nil
}

// Unpin is the counterpart of Pin.
func (o *Object) Unpin() {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	o.views--
	o.seg.views--
	switch {
	case o.closed.Load() && o.views == 0:
		h.free(o.seg)
	case o.seg.gone.Load():
		h.late = append(h.late, o.seg)
		h.dropLate()
	}
}

// Owned reports whether Close will end the object for everybody.
func (o *Object) Owned() bool { return o.owner.Load() }

// Givable reports whether Give will leave the object to somebody else.
func (o *Object) Givable() bool { return o.owner.Load() && !isRoot() }

// Give leaves the object to the caller of the task that this process has run, which meets
// the token that was made last. In the root process tasks are their caller's already.
func (o *Object) Give() {
	if isRoot() {
		return
	}
	here.mu.Lock()
	defer here.mu.Unlock()
	if o.owner.Swap(false) && o.seg.arena && o.seg.made {
		o.seg.give(o.off / line)
	}
}

// Leave makes an object that this process has made nobody's: it ends when somebody calls
// End, whoever dies before.
func (o *Object) Leave() {
	here.mu.Lock()
	defer here.mu.Unlock()
	if o.owner.Swap(false) {
		o.seg.give(o.off / line)
	}
}

// End ends an object that is nobody's for everybody; it is called once.
func (o *Object) End() {
	here.mu.Lock()
	defer here.mu.Unlock()
	if here.segments[o.seg.id] == o.seg {
		o.seg.mem[o.off/line] = byte(xsync.KindNone)
	}
}

// Again returns the object once more, to be closed by itself.
func (o *Object) Again() *Object {
	here.mu.Lock()
	defer here.mu.Unlock()
	o.seg.live++
	return &Object{seg: o.seg, off: o.off, size: o.size, gen: o.gen, kind: o.kind}
}

// Offer says that the sender of a token that was just met owned the object; Refuse or Take
// follows.
func (o *Object) Offer() { o.offered.Store(true) }

// Refuse leaves the object to the sender.
func (o *Object) Refuse() {
	o.here.Store(true)
	o.offered.Store(false)
}

// Received reports whether somebody in this process has got the object, or has made it: not only a
// value that could not be decoded had it.
func (o *Object) Received() bool { return o.here.Load() }

// Take makes this process the owner of what the sender of a token has given.
func (o *Object) Take() {
	o.here.Store(true)
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if !o.offered.Swap(false) || o.closed.Load() || o.owner.Swap(true) {
		return
	}
	switch {
	case o.seg.arena && o.seg.made: // it has come back
		delete(o.seg.given, o.off/line)
	case !o.seg.arena:
		h.dir.Take(o.seg.id)
	}
}

// Name is the token without what changes: it names the object in this process.
func (o *Object) Name() Token {
	return Token{Segment: o.seg.id, Offset: uint32(o.off), Gen: o.gen, Kind: o.kind}
}

// Maker is the tag of the process that has made the segment: no other can publish one with it.
func (o *Object) Maker() uint64 { return makerOf(o.seg.id) }

// Lot is where this process waits for objects; nil if it shares nothing.
func Lot() *park.Lot {
	here.mu.Lock()
	defer here.mu.Unlock()
	return here.lot
}
