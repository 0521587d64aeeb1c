package xsync

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/spin"
)

// A Ring is a bounded queue of records. Its head is an object that is looked after; the
// records are in other memory.
//
// Who puts writes behind the tail, under a lock for those who put, and then moves the
// tail; who gets copies the first record, under a lock for those who get, and then moves
// the head. Either is one atomic step, before which nothing has happened: what a process
// leaves that dies is at most a lock, which Bury opens, or a wake-up, for which everybody
// looks. The end is a flag in the tail, which nobody moves after that.
type Ring struct {
	object
	put, get  Mutex
	notEmpty  park.Site
	notFull   park.Site
	joined    park.Site
	tail      *atomic.Uint64
	head      *atomic.Uint64
	done      *atomic.Uint64
	lastSpill *atomic.Uint64
	data      []byte
	most      int
	reserve   bool
	foresee   func(Record)

	forRecords, forRoom spin.Spinner
}

// RingSize is the size of a Ring's head, and RingMax that of the largest memory for
// records.
const (
	RingSize = 384
	RingMax  = 1 << 23
)

const (
	offPut   = 64
	offGet   = 128
	offTail  = 192
	offSpill = 200 // of those who put, under their lock
	offHead  = 256
	offDone  = 320
)

// The tail, and the head, is how many records there have been, and the place where the
// next begins, in units of 8 bytes.
const (
	unit      = 8
	placeBits = 20
	placeMask = 1<<placeBits - 1
	// noMore says, in the tail, that nobody may put any more.
	noMore = 1 << 63
	// born is in both, so that no step succeeds in memory that was given back, which is
	// zeros.
	born      = 1 << 62
	countMask = born>>placeBits - 1 // numbers of records go round
)

// A record is its length, with a flag, and its bytes.
const (
	recordHead = 8
	spilled    = 1 << 63
	// SpillSize is how long the place of a record that lies elsewhere is.
	SpillSize = 24
)

// RingShape says how much a Ring can hold.
type RingShape struct {
	Most int // records
	// Elsewhere has records for which there is no room, but which there may be by Most,
	// put as the places where they lie. Without it they wait for room, and only one that
	// is larger than a quarter of the memory lies elsewhere, one at a time.
	Elsewhere bool
}

// BytesFor is how much memory is needed at least.
func (s RingShape) BytesFor() int {
	if s.Elsewhere {
		return s.Most * (recordHead + SpillSize)
	}
	return 4096
}

// A Record is what is put and got.
type Record struct {
	Bytes   []byte
	Spilled bool // Bytes are the place, of SpillSize
}

// NewRing makes a Ring in RingSize bytes.
func NewRing(m Memory, data []byte, shape RingShape) *Ring {
	for _, at := range []int{offPut, offGet} {
		birth(m.part(at, 0), 0)
	}
	r := OpenRing(m, data, shape)
	r.tail.Store(born)
	r.head.Store(born)
	birth(m, 0)
	return r
}

// part is the memory of an object within another, with its i-th site.
func (m Memory) part(at, i int) Memory {
	m.Bytes, m.Bucket = m.Bytes[at:at+Small], m.Bucket+uint32(i)
	return m
}

// OpenRing returns the Ring that is there already. Data, of which the length is a multiple
// of 8 and at most RingMax, and shape are those with which it was made.
func OpenRing(m Memory, data []byte, shape RingShape) *Ring {
	r := &Ring{
		tail: shm.Word64(m.Bytes, offTail), head: shm.Word64(m.Bytes, offHead), done: shm.Word64(m.Bytes, offDone),
		lastSpill: shm.Word64(m.Bytes, offSpill), data: data, most: shape.Most, reserve: shape.Elsewhere,
	}
	r.init(m)
	r.site(&r.notEmpty, m, 0, false)
	r.site(&r.notFull, m, 1, !shape.Elsewhere)
	r.site(&r.joined, m, 2, true)
	for i, l := range []*Mutex{&r.put, &r.get} {
		part := m.part([]int{offPut, offGet}[i], 3+i)
		l.init(part)
		l.inner = true
		l.site(&l.queue, part, 0, false)
	}
	return r
}

// Close makes it closed: for everybody if this process owns it.
func (r *Ring) Close(owned bool) {
	r.close(owned, &r.notEmpty, &r.notFull, &r.joined)
	r.put.Close(owned)
	r.get.Close(owned)
}

// End lets nobody put any more; what is there can be got. It reports whether it is the
// first to do so.
func (r *Ring) End() (first bool) {
	if r.alive(r.word.Load()) {
		first = r.tail.Or(noMore)&noMore == 0
	}
	r.notFull.WakeAll()
	r.notFull.CallAll()
	r.notEmpty.WakeAll()
	r.notEmpty.CallAll()
	return first
}

// Ended reports whether nobody can put any more.
func (r *Ring) Ended() bool {
	return !r.alive(r.word.Load()) || position(r.tail.Load()).last()
}

// Drained reports whether nobody can put, and there is nothing to get, any more.
func (r *Ring) Drained() bool { return r.Ended() && r.Len() == 0 }

// position is where a tail or head is.
type position uint64

func (p position) count() uint64 { return uint64(p) >> placeBits & countMask }
func (p position) place() int    { return int(uint64(p)&placeMask) * unit }
func (p position) last() bool    { return uint64(p)&noMore != 0 }

// since is how many records there have been between two positions.
func (p position) since(q position) uint64 { return (p.count() - q.count()) & countMask }

// takes is how much memory a record of n bytes takes. Where there is a place for each
// record that there may be, one that is smaller takes as much, so that it leaves no less
// when it is got.
func (r *Ring) takes(n int) int {
	if r.reserve {
		n = max(n, SpillSize)
	}
	return recordHead + (n+unit-1)/unit*unit
}

// behind is the position behind a record of n bytes.
func (r *Ring) behind(p position, n int) position {
	place := (p.place() + r.takes(n)) % len(r.data)
	return position(born | (p.count()+1)&countMask<<placeBits | uint64(place/unit))
}

func (r *Ring) positions() (head, tail position) {
	return position(r.head.Load()), position(r.tail.Load())
}

// used is how many bytes lie between two positions.
func (r *Ring) used(head, tail position) int {
	if head.count() == tail.count() {
		return 0
	}
	n := tail.place() - head.place()
	if n <= 0 {
		n += len(r.data)
	}
	return n
}

// Len is the number of records at some moment.
func (r *Ring) Len() int {
	head := position(r.head.Load()) // the tail afterwards, so that it is not before the head
	tail := position(r.tail.Load())
	return int(min(tail.since(head), uint64(r.most)))
}

func (r *Ring) some() bool { return r.Len() > 0 }

// room says how a record of n bytes can be put.
type room int

const (
	noRoom room = iota // for now
	here
	elsewhere
)

func (r *Ring) roomFor(n int) room {
	head, tail := r.positions()
	return r.roomBetween(head, tail, n)
}

// roomBetween is roomFor with positions that were loaded before.
func (r *Ring) roomBetween(head, tail position, n int) room {
	count := int(tail.since(head))
	if count >= r.most {
		return noRoom
	}
	free := len(r.data) - r.used(head, tail)
	size := r.takes(n)
	if r.reserve {
		if free-size >= (r.most-count-1)*(recordHead+SpillSize) {
			return here
		}
		return elsewhere
	}
	switch {
	case size <= len(r.data)/4 && size <= free-recordHead-SpillSize:
		return here
	case size > len(r.data)/4 && free >= recordHead+SpillSize && !r.spillWaits(head, tail):
		return elsewhere
	}
	return noRoom
}

// spillWaits reports whether a record that lies elsewhere has not been got yet.
func (r *Ring) spillWaits(head, tail position) bool {
	last := r.lastSpill.Load() - 1
	return (last-head.count())&countMask < tail.since(head)
}

// stuck is how long who only tries waits for a lock. Nobody has one for longer than it
// takes to copy a record, but who is stopped. Tests make it shorter.
var stuck = 100 * time.Millisecond

// lock takes one of a Ring's locks, also when ctx has ended if it is free: whoever calls
// has looked.
func (r *Ring) lock(ctx context.Context, l *Mutex) error {
	if l.lockAtOnce() {
		return nil
	}
	err := l.Lock(ctx)
	switch {
	case errors.Is(err, errs.ErrOwnerDied), // mp never marks these locks so
		errors.Is(err, errs.ErrClosed): // mp closes the Ring before its locks
		err = r.unlessClosed(errs.ErrCorrupt)
	}
	return err
}

// lockSoon returns the error otherwise if somebody who has the lock is stuck.
func (r *Ring) lockSoon(l *Mutex, otherwise error) error {
	if ok, _ := l.TryLock(); ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	err := r.lock(ctx, l)
	if errors.Is(err, context.DeadlineExceeded) {
		err = otherwise
	}
	return err
}

// Put waits for room and puts a record. If it can only lie elsewhere, spill puts it there
// and returns its place; drop undoes that.
func (r *Ring) Put(ctx context.Context, b []byte, spill func([]byte) ([]byte, error), drop func([]byte)) error {
	return r.putOr(b, func(b []byte) ([]byte, error) {
		r.letCatchUp(ctx)
		return spill(b)
	}, drop, func() error { return r.lock(ctx, &r.put) }, func() error {
		return r.waitFor(ctx, &r.notFull, func() bool { return r.roomFor(len(b)) != noRoom || r.Ended() })
	})
}

const (
	// farAhead is how many records there may be before one that lies elsewhere, and needs
	// memory, had better wait for that of another one.
	farAhead = 8
	// catchUp is how long it waits: not much longer than fresh memory costs.
	catchUp = time.Millisecond
)

// letCatchUp gives those who get a moment, if they are far behind.
func (r *Ring) letCatchUp(ctx context.Context) {
	caughtUp := func() bool { return r.Len() < farAhead || r.Ended() }
	if caughtUp() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	_ = r.waitFor(ctx, &r.notFull, caughtUp)
}

// TryPut is Put that returns ErrFull instead of waiting, also if a process is stopped just
// when it puts.
func (r *Ring) TryPut(b []byte, spill func([]byte) ([]byte, error), drop func([]byte)) error {
	return r.putOr(b, spill, drop, func() error { return r.lockSoon(&r.put, errs.ErrFull) }, func() error { return errs.ErrFull })
}

func (r *Ring) putOr(b []byte, spill func([]byte) ([]byte, error), drop func([]byte), lock, full func() error) error {
	var place []byte
	for {
		put, where := false, noRoom
		err := lock()
		if err == nil {
			put, where, err = r.tryPut(b, place)
			_ = r.put.Unlock()
		}
		switch {
		case put:
			r.passOn(&r.notEmpty, r.some)
			r.passOnRoom()
			return nil
		case err != nil:
		case where == elsewhere:
			place, err = spill(b)
		default:
			err = full()
		}
		if err != nil {
			if place != nil {
				drop(place)
			}
			r.passOnRoom() // it may have been called for it
			return err
		}
	}
}

// tryPut puts a record if there is room, under the lock; one that has a place elsewhere if
// it has to be there.
func (r *Ring) tryPut(b, place []byte) (put bool, where room, err error) {
	head, tail := r.positions()
	switch {
	case !r.alive(r.word.Load()), tail.last():
		return false, noRoom, errs.ErrClosed
	case !r.sane(head, tail):
		return false, noRoom, r.unlessClosed(errs.ErrCorrupt)
	}
	where = r.roomBetween(head, tail, len(b))
	switch {
	case where == noRoom, where == elsewhere && place == nil:
		return false, where, nil
	case place != nil:
		r.lastSpill.Store(tail.count() + 1) // 0 if there has been none
		put = r.write(tail, uint64(len(place))|spilled, place)
	default:
		if r.lastSpill.Load() == tail.count()+1 { // who wrote that died before its record was there
			r.lastSpill.Store(0)
		}
		put = r.write(tail, uint64(len(b)), b)
	}
	if !put {
		err = errs.ErrClosed
	}
	return put, where, err
}

// sane reports whether as many records as the positions claim fit between them. Any process may have written
// the positions.
func (r *Ring) sane(head, tail position) bool {
	last := len(r.data) - recordHead
	if head.place() > last || tail.place() > last || tail.since(head) > uint64(r.most) {
		return false
	}
	if head.count() == tail.count() {
		return head.place() == tail.place()
	}
	return r.used(head, tail) >= int(tail.since(head))*r.takes(0)
}

// write writes a record and moves the tail, unless the Ring has ended meanwhile.
func (r *Ring) write(tail position, head uint64, b []byte) bool {
	at := tail.place()
	binary.LittleEndian.PutUint64(r.data[at:], head)
	at = (at + recordHead) % len(r.data)
	n := copy(r.data[at:], b)
	copy(r.data, b[n:])
	r.edge.release()
	return r.tail.CompareAndSwap(uint64(tail), uint64(r.behind(tail, len(b))))
}

// passOn wakes one who waits for what there is. In each process only the first is told of
// the end: who was passes that on too. As a rule nobody waits: then nothing is looked at that
// the other side changes all the time.
func (r *Ring) passOn(s *park.Site, there func() bool) {
	switch {
	case !s.Waited():
	case r.Ended():
		s.WakeAll()
	case there():
		s.WakeOne()
	}
}

// madeRoom wakes one who waits for room, or all if only some of them may have enough.
func (r *Ring) madeRoom() {
	if r.reserve {
		r.passOn(&r.notFull, func() bool { return true })
	} else {
		r.notFull.WakeAll()
	}
}

// passOnRoom is madeRoom of who was woken, and does not need what is left.
func (r *Ring) passOnRoom() {
	r.passOn(&r.notFull, func() bool { return r.reserve && r.roomFor(0) != noRoom })
}

// waitFor waits until there is something to do or look at.
func (r *Ring) waitFor(ctx context.Context, s *park.Site, there func() bool) error {
	spins := &r.forRecords
	if s == &r.notFull {
		spins = &r.forRoom
	}
	if soon(there) || spins.Until(there) {
		return ctx.Err() // a corrupt word may look ready each time, with nothing there when the caller comes
	}
	return s.Until(ctx, func(bool) bool { return there() })
}

// AwaitReleased waits until there is room, or the Ring has ended. Room is made by processes that call Released, and
// there is looked at again after some time even if none does.
func (r *Ring) AwaitReleased(ctx context.Context, there func() bool) error {
	over := func() bool { return there() || r.Ended() }
	if !r.reserve {
		return r.notFull.Until(ctx, func(bool) bool { return over() })
	}
	// Those who wait for room in the Ring are woken one at a time: one among them who waits for something else would
	// keep it from the others.
	pause := firstLook
	for !over() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, lastLook)
	}
	return nil
}

// Times between looks whether memory has been released.
const (
	firstLook = 100 * time.Microsecond
	lastLook  = 20 * time.Millisecond
)

// Released tells those who wait for that that this process has released the memory of a record that lies elsewhere.
func (r *Ring) Released() { r.notFull.WakeAll() }

// Foresee has f called with each record before this process takes it, under the lock of those who
// get: what takes long had better be done before the record has gone, since who dies then leaves what
// it brings along to nobody. It is called before the Ring is used.
func (r *Ring) Foresee(f func(Record)) { r.foresee = f }

// Get waits for a record and appends it to buf.
func (r *Ring) Get(ctx context.Context, buf []byte) (Record, error) {
	return r.getOr(buf, func() error { return r.lock(ctx, &r.get) }, func() error {
		return r.waitFor(ctx, &r.notEmpty, func() bool { return r.Len() > 0 || r.Ended() })
	})
}

// TryGet is Get that returns ErrEmpty instead of waiting, also if a process is stopped just
// when it gets.
func (r *Ring) TryGet(buf []byte) (Record, error) {
	return r.getOr(buf, func() error { return r.lockSoon(&r.get, errs.ErrEmpty) }, func() error { return errs.ErrEmpty })
}

func (r *Ring) getOr(buf []byte, lock, empty func() error) (Record, error) {
	for {
		rec, ok := Record{}, false
		err := lock()
		if err == nil {
			rec, ok, err = r.tryGet(buf)
			_ = r.get.Unlock()
		}
		if ok {
			r.madeRoom()
			r.passOn(&r.notEmpty, r.some)
			return rec, nil
		}
		if err == nil {
			err = empty()
		}
		if err != nil {
			r.passOn(&r.notEmpty, r.some) // it may have been called for it
			return Record{Bytes: buf}, err
		}
	}
}

// tryGet gets the first record if there is one, under the lock.
func (r *Ring) tryGet(buf []byte) (rec Record, ok bool, err error) {
	head, tail := r.positions()
	switch {
	case !r.alive(r.word.Load()), head.count() == tail.count() && tail.last():
		return rec, false, errs.ErrClosed
	case !r.sane(head, tail):
		return rec, false, r.unlessClosed(errs.ErrCorrupt)
	case head.count() == tail.count():
		return rec, false, nil
	}
	n, isSpilled, err := r.recordAt(head, tail)
	if err != nil {
		return rec, false, r.unlessClosed(err)
	}
	at := (head.place() + recordHead) % len(r.data)
	first := min(n, len(r.data)-at)
	rec.Bytes = append(append(buf, r.data[at:at+first]...), r.data[:n-first]...)
	rec.Spilled = isSpilled
	if r.foresee != nil {
		r.foresee(Record{rec.Bytes[len(buf):], isSpilled})
	}
	if !r.head.CompareAndSwap(uint64(head), uint64(r.behind(head, n))) {
		return Record{}, false, errs.ErrClosed
	}
	r.edge.acquire()
	return rec, true, nil
}

// recordAt is the length of the first record between two positions that are sane, which anybody may have
// written. It leaves room for the records behind it, and none if it is the last.
func (r *Ring) recordAt(head, tail position) (n int, isSpilled bool, err error) {
	size := binary.LittleEndian.Uint64(r.data[head.place():])
	isSpilled, size = size&spilled != 0, size&^spilled
	used := r.used(head, tail)
	if size > uint64(used) || isSpilled && size != SpillSize {
		return 0, false, errs.ErrCorrupt
	}
	rest, others := used-r.takes(int(size)), int(tail.since(head))-1
	if rest < others*r.takes(0) || others == 0 && rest != 0 {
		return 0, false, errs.ErrCorrupt
	}
	return int(size), isSpilled, nil
}

// Done says that what was got has been dealt with.
func (r *Ring) Done() error {
	for range tries {
		n := r.done.Load()
		if w := r.word.Load(); !r.alive(w) {
			return errs.ErrClosed
		}
		if n == position(r.head.Load()).count() {
			return r.unlessClosed(fmt.Errorf("%w: TaskDone for more elements than were got", errs.ErrOverRelease))
		}
		r.edge.release()
		if r.done.CompareAndSwap(n, (n+1)&countMask) {
			if r.allDone() {
				r.joined.WakeAll()
			}
			return nil
		}
	}
	return errs.ErrCorrupt
}

// Join waits until there has been a Done for each record that was put.
func (r *Ring) Join(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := r.joined.Until(ctx, func(bool) bool { return r.allDone() || !r.alive(r.word.Load()) })
	if err == nil && !r.allDone() {
		err = errs.ErrClosed
	}
	if err == nil {
		r.edge.acquire()
	}
	return err
}

func (r *Ring) allDone() bool {
	n, tail := r.done.Load(), r.tail.Load()
	return n == position(tail).count() && tail&born != 0
}

// buryRing opens the locks: what they guard is whole at any moment.
func buryRing(mem []byte, slot uint64) {
	for _, at := range []int{offPut, offGet} {
		part := mem[at : at+Small]
		shm.Word64(part, offMask).And(^(uint64(1) << (slot % 64)))
		change(part, func(w uint64) uint64 {
			if w&slots == slot {
				w &^= slots
			}
			return w &^ starving
		})
	}
}
