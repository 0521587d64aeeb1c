package objects

import (
	"errors"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/segments"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// An Object is this process's handle to a piece of shared memory. It is safe for concurrent use.
type Object struct {
	seg     *segment
	off     int
	size    int
	gen     uint32
	kind    xsync.Kind
	owner   atomic.Bool // closing the object ends it for all processes
	closed  atomic.Bool
	offered atomic.Bool // by the sender of a token that was attached
	here    atomic.Bool // code in this process has it
	exposed atomic.Bool // the memory may be in use without the object
	views   int         // guarded by the heap's mu
}

// New creates an object that is all zeros. If alone is set, the object has a segment of its own.
func New(kind xsync.Kind, size int, alone bool) (*Object, error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if kind == xsync.KindData && size <= largest && !alone {
		size += xsync.Small // room for its generation
	}
	s, off, err := h.alloc(kind, size, alone)
	if err != nil {
		return nil, err
	}
	return h.object(s, off, size, kind), nil
}

// object returns a new object that this process has created. The caller must hold h.mu.
func (h *heap) object(s *segment, off, size int, kind xsync.Kind) *Object {
	h.gen++
	if h.gen == 0 {
		h.gen++
	}
	o := &Object{seg: s, off: off, size: size, gen: h.gen, kind: kind}
	o.owner.Store(true)
	return o
}

// Wrap creates an object from an existing segment. It takes ownership of fd and mem.
func Wrap(fd int, mem []byte) (*Object, error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin(); err != nil {
		return nil, err
	}
	s := &segment{id: h.newID(), own: true, fd: fd, mem: mem, live: 1, shrinkable: true}
	h.segments[s.id] = s
	return h.object(s, 0, len(mem), xsync.KindData), nil
}

// Ready records that the object is ready to be attached and cleaned up.
func (o *Object) Ready() {
	o.here.Store(true)
	if o.seg.arena {
		o.seg.mem[o.off/line] = byte(o.kind)
	}
}

// Bytes returns the object's memory. The package comment says what happens to the memory after
// Close.
func (o *Object) Bytes() []byte { return o.seg.mem[o.off : o.off+o.size : o.off+o.size] }

// Data returns the memory of an object of KindData.
func (o *Object) Data() []byte {
	if o.seg.arena {
		return o.Bytes()[xsync.Small:]
	}
	return o.Bytes()
}

// Shrinkable reports whether another process could shrink the memory, so that an access could end
// in a fault. Such memory has a name, or was created by a corrupt process.
func (o *Object) Shrinkable() bool { return o.seg.shrinkable }

// Foreign reports whether the object has a segment of its own that another process created.
func (o *Object) Foreign() bool { return !o.seg.own && !o.seg.arena }

// ReadWritten calls buffer with the number of bytes of the object's memory that were ever written,
// and fills the returned slice from the beginning of the object. The object must be Foreign and
// pinned.
func (o *Object) ReadWritten(buffer func(written int64) ([]byte, error)) error {
	h := &here
	h.mu.Lock()
	if o.Gone() || h.segments[o.seg.id] != o.seg {
		h.mu.Unlock()
		return errs.ErrClosed
	}
	f, err := h.dir.Fetch(o.seg.id) // without a Drop, which would affect the mapping as well
	h.mu.Unlock()
	if errors.Is(err, segments.ErrGone) {
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

// Small reports whether the object lies in an arena, where it is cleaned up after a death.
func (o *Object) Small() bool { return o.seg.arena }

// Memory returns the object's memory for package xsync.
func (o *Object) Memory() xsync.Memory {
	return xsync.Memory{WaitTable: here.table, Bytes: o.Bytes(), Gen: o.gen, Bucket: bucket(o.seg.id, o.off)}
}

// bucket spreads objects over the buckets, in the same way in all processes.
func bucket(id uint64, off int) uint32 {
	h := (id ^ uint64(off/line)) * 0x9e3779b97f4a7c15
	return uint32(h >> 40)
}

// Token returns a Token with which another process can attach the object. The first Token of a
// segment costs a request to the broker.
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

// Attach attaches the object that a token stands for. It returns segments.ErrGone if the object no
// longer exists.
func Attach(t Token) (*Object, error) {
	here.mu.Lock()
	defer here.mu.Unlock()
	return here.attach(t)
}

// AttachMapped is like Attach, but only for an object in memory that this process has mapped
// already. For any other object, it returns an error. It asks no other process.
func AttachMapped(t Token) (*Object, error) {
	here.mu.Lock()
	defer here.mu.Unlock()
	if here.segments[t.Segment] == nil {
		return nil, segments.ErrGone
	}
	return here.attach(t)
}

// attach does what Attach does. The caller must hold h.mu.
func (h *heap) attach(t Token) (*Object, error) {
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

// fits checks a token, which any process may have forged, against its segment.
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
		return segments.ErrGone
	}
	return nil
}

// Close closes the object, and ends it for all processes if this process owns it. It reports
// whether the object was open.
func (o *Object) Close() bool {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.closed.Swap(true) {
		return false
	}

	s, ours := o.seg, o.seg.own
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

// Expose records that the object's own memory may be in use for the rest of the process's life,
// even if the object is unreachable.
func (o *Object) Expose() {
	if !o.exposed.Load() {
		o.exposed.Store(true)
	}
}

// Forget is like Close, but for an object that is unreachable in this process. If the object has
// memory of its own that was exposed, that memory stays mapped.
func (o *Object) Forget() {
	if o.seg.arena || !o.exposed.Load() {
		o.owner.Store(false)
		o.Close()
	}
}

// Gone reports whether the object was closed, or whether the object's segment was destroyed.
func (o *Object) Gone() bool { return o.closed.Load() || o.seg.gone.Load() }

// Pin keeps the memory mapped until Unpin, even if the object is closed. It returns ErrClosed if
// the object is gone.
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

// Unpin undoes Pin.
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

// Owned reports whether Close will end the object for all processes.
func (o *Object) Owned() bool { return o.owner.Load() }

// Givable reports whether Give will transfer the object.
func (o *Object) Givable() bool { return o.owner.Load() && !isRoot() }

// Give transfers the object to the caller of the task that this process has run. The caller
// attaches the token that was created last. In the root process, objects that a task creates
// already belong to the task's caller.
func (o *Object) Give() {
	if isRoot() {
		return
	}
	here.mu.Lock()
	defer here.mu.Unlock()
	if o.owner.Swap(false) && o.seg.arena && o.seg.own {
		o.seg.give(o.off / line)
	}
}

// Leave makes an object that this process has created ownerless. The object ends when a process
// calls End, whichever processes die before that.
func (o *Object) Leave() {
	here.mu.Lock()
	defer here.mu.Unlock()
	if o.owner.Swap(false) {
		o.seg.give(o.off / line)
	}
}

// End ends an ownerless object for all processes. It must be called only once.
func (o *Object) End() {
	here.mu.Lock()
	defer here.mu.Unlock()
	if here.segments[o.seg.id] == o.seg {
		o.seg.mem[o.off/line] = byte(xsync.KindNone)
	}
}

// Again returns another handle to the object, which must be closed separately.
func (o *Object) Again() *Object {
	here.mu.Lock()
	defer here.mu.Unlock()
	o.seg.live++
	return &Object{seg: o.seg, off: o.off, size: o.size, gen: o.gen, kind: o.kind}
}

// Offer records that the sender of a token that was just attached owned the object. Refuse or Take
// must follow.
func (o *Object) Offer() { o.offered.Store(true) }

// Refuse leaves the object to the sender.
func (o *Object) Refuse() {
	o.here.Store(true)
	o.offered.Store(false)
}

// Received reports whether code in this process has received or created the object. It returns
// false if only a value that could not be decoded contained the object.
func (o *Object) Received() bool { return o.here.Load() }

// Take makes this process the owner of an object that the sender of a token has given.
func (o *Object) Take() {
	o.here.Store(true)
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if !o.offered.Swap(false) || o.closed.Load() || o.owner.Swap(true) {
		return
	}
	switch {
	case o.seg.arena && o.seg.own: // it has come back
		delete(o.seg.given, o.off/line)
	case !o.seg.arena:
		h.dir.Take(o.seg.id)
	}
}

// Name returns the token without its changing parts, which identifies the object in this process.
func (o *Object) Name() Token {
	return Token{Segment: o.seg.id, Offset: uint32(o.off), Gen: o.gen, Kind: o.kind}
}

// Maker returns the tag of the process that created the segment. No other process can publish a
// segment with that tag.
func (o *Object) Maker() uint64 { return makerOf(o.seg.id) }

// WaitTable returns the WaitTable at which this process waits for objects, or nil if this process
// shares nothing.
func WaitTable() *park.WaitTable {
	here.mu.Lock()
	defer here.mu.Unlock()
	return here.table
}
