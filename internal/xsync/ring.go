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

// A Ring is a bounded queue of records. Its head is an object that Reap looks after; the records
// are in other memory.
//
// A sender writes a record at the tail, with the senders' lock held, and then moves the tail. A
// receiver copies the first record, with the receivers' lock held, and then moves the head. Each
// move is one atomic step, and nothing has happened before it. A process that dies therefore leaves
// behind at most a lock, which Reap opens, or a missing wake-up, because of which all waiters are
// told to look again. The end is a flag in the tail; no process moves the tail after it is set.
type Ring struct {
	object
	put, get  Mutex
	notEmpty  park.WaitQueue
	notFull   park.WaitQueue
	joined    park.WaitQueue
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

// RingSize is the size of a Ring's head, and RingMax the maximum size of the memory for its
// records.
const (
	RingSize = 384
	RingMax  = 1 << 23
)

const (
	offPut   = 64
	offGet   = 128
	offTail  = 192
	offSpill = 200 // used by senders, with their lock held
	offHead  = 256
	offDone  = 320
)

// The tail and the head each contain how many records there have been, and the place where the next
// record begins, in units of 8 bytes.
const (
	unit      = 8
	placeBits = 20
	placeMask = 1<<placeBits - 1
	// noMore, in the tail, says that no process may put another record.
	noMore = 1 << 63
	// born is set in both the tail and the head, so that no step succeeds in released memory, which
	// is all zeros.
	born      = 1 << 62
	countMask = born>>placeBits - 1 // numbers of records wrap around
)

// A record consists of its length, with a flag, and its bytes.
const (
	recordHead = 8
	spilled    = 1 << 63
	// SpillSize is the length of the place of a spilled record.
	SpillSize = 24
)

// RingShape says how much a Ring can hold.
type RingShape struct {
	Most int // records
	// Elsewhere spills records for which there is no room, so that there is always room for Most
	// records. Without it, records wait for room; only a record that is larger than a quarter of
	// the memory is spilled, one at a time.
	Elsewhere bool
}

// BytesFor returns the minimum size of the memory for records.
func (s RingShape) BytesFor() int {
	if s.Elsewhere {
		return s.Most * (recordHead + SpillSize)
	}
	return 4096
}

// A Record is an element of a Ring.
type Record struct {
	Bytes   []byte
	Spilled bool // Bytes is the place of the record, of SpillSize bytes
}

// NewRing creates a Ring in m, which must have RingSize bytes.
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

// part returns the memory of an object that lies within another one and uses the other's i-th wait
// queue.
func (m Memory) part(at, i int) Memory {
	m.Bytes, m.Bucket = m.Bytes[at:at+Small], m.Bucket+uint32(i)
	return m
}

// OpenRing opens the Ring that already exists in m. data and shape must be the ones with which the
// Ring was created. The length of data is a multiple of 8 and at most RingMax.
func OpenRing(m Memory, data []byte, shape RingShape) *Ring {
	r := &Ring{
		tail: shm.Word64(m.Bytes, offTail), head: shm.Word64(m.Bytes, offHead), done: shm.Word64(m.Bytes, offDone),
		lastSpill: shm.Word64(m.Bytes, offSpill), data: data, most: shape.Most, reserve: shape.Elsewhere,
	}
	r.init(m)
	r.waitQueue(&r.notEmpty, m, 0, false)
	r.waitQueue(&r.notFull, m, 1, !shape.Elsewhere)
	r.waitQueue(&r.joined, m, 2, true)
	for i, l := range []*Mutex{&r.put, &r.get} {
		part := m.part([]int{offPut, offGet}[i], 3+i)
		l.init(part)
		l.inner = true
		l.waitQueue(&l.queue, part, 0, false)
	}
	return r
}

// Close closes the Ring, for all processes if this one owns it.
func (r *Ring) Close(owned bool) {
	r.close(owned, &r.notEmpty, &r.notFull, &r.joined)
	r.put.Close(owned)
	r.get.Close(owned)
}

// End prevents further puts. Records that are in the Ring can still be received. End reports
// whether this was the first call.
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

// Ended reports whether no process can put another record.
func (r *Ring) Ended() bool {
	return !r.alive(r.word.Load()) || position(r.tail.Load()).last()
}

// Drained reports whether the Ring has ended and is empty.
func (r *Ring) Drained() bool { return r.Ended() && r.Len() == 0 }

// A position is the value of a tail or a head.
type position uint64

func (p position) count() uint64 { return uint64(p) >> placeBits & countMask }
func (p position) place() int    { return int(uint64(p)&placeMask) * unit }
func (p position) last() bool    { return uint64(p)&noMore != 0 }

// since returns the number of records between two positions.
func (p position) since(q position) uint64 { return (p.count() - q.count()) & countMask }

// takes returns how much memory a record of n bytes takes. If there is a place for each of Most
// records, a smaller record takes as much memory as a place, so that receiving the record frees
// enough memory for a place.
func (r *Ring) takes(n int) int {
	if r.reserve {
		n = max(n, SpillSize)
	}
	return recordHead + (n+unit-1)/unit*unit
}

// behind returns the position after a record of n bytes that begins at p.
func (r *Ring) behind(p position, n int) position {
	place := (p.place() + r.takes(n)) % len(r.data)
	return position(born | (p.count()+1)&countMask<<placeBits | uint64(place/unit))
}

func (r *Ring) positions() (head, tail position) {
	return position(r.head.Load()), position(r.tail.Load())
}

// used returns how many bytes lie between two positions.
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

// Len returns the number of records at some moment during the call.
func (r *Ring) Len() int {
	head := position(r.head.Load()) // loaded before the tail, so that the tail is not behind it
	tail := position(r.tail.Load())
	return int(min(tail.since(head), uint64(r.most)))
}

func (r *Ring) some() bool { return r.Len() > 0 }

// room says where a record can be put.
type room int

const (
	noRoom room = iota // at the moment
	here
	elsewhere
)

func (r *Ring) roomFor(n int) room {
	head, tail := r.positions()
	return r.roomBetween(head, tail, n)
}

// roomBetween is like roomFor, but uses positions that were loaded before.
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

// spillWaits reports whether the last spilled record has not been received yet.
func (r *Ring) spillWaits(head, tail position) bool {
	last := r.lastSpill.Load() - 1
	return (last-head.count())&countMask < tail.since(head)
}

// stuck is how long the Try methods wait for a lock. A holder that is not stopped needs the lock
// only for as long as it takes to copy a record. Tests shorten it.
var stuck = 100 * time.Millisecond

// lock takes one of the Ring's locks. It takes a free lock even if ctx has ended, because the
// callers have checked ctx.
func (r *Ring) lock(ctx context.Context, l *Mutex) error {
	if l.lockAtOnce() {
		return nil
	}
	err := l.Lock(ctx)
	switch {
	case errors.Is(err, errs.ErrOwnerDied), // honest processes never mark these locks
		errors.Is(err, errs.ErrClosed): // honest processes close the Ring before its locks
		err = r.unlessClosed(errs.ErrCorrupt)
	}
	return err
}

// lockSoon is like lock, but returns the error otherwise if the lock is not released soon.
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

// Put waits for room and puts a record. If the record must be spilled, Put calls spill, which
// stores it and returns its place. If Put fails after that, it calls drop, which undoes spill. Put
// returns ErrClosed if the Ring has ended.
func (r *Ring) Put(ctx context.Context, b []byte, spill func([]byte) ([]byte, error), drop func([]byte)) error {
	return r.putOr(b, func(b []byte) ([]byte, error) {
		r.letCatchUp(ctx)
		return spill(b)
	}, drop, func() error { return r.lock(ctx, &r.put) }, func() error {
		return r.waitFor(ctx, &r.notFull, func() bool { return r.roomFor(len(b)) != noRoom || r.Ended() })
	})
}

const (
	// farAhead is the number of waiting records at which a sender that must spill a record first
	// waits for receivers to release memory.
	farAhead = 8
	// catchUp is how long that sender waits: not much longer than it takes to get fresh memory.
	catchUp = time.Millisecond
)

// letCatchUp gives receivers that are far behind a moment to catch up.
func (r *Ring) letCatchUp(ctx context.Context) {
	caughtUp := func() bool { return r.Len() < farAhead || r.Ended() }
	if caughtUp() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	_ = r.waitFor(ctx, &r.notFull, caughtUp)
}

// TryPut is like Put, but returns ErrFull instead of waiting, even if another sender was stopped in
// the middle of a put.
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
			r.passOnRoom() // this goroutine may have consumed a wake-up
			return err
		}
	}
}

// tryPut puts a record if there is room for it. A record that must be spilled needs a place;
// without one, tryPut puts nothing. The caller must hold r.put.
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
		r.lastSpill.Store(tail.count() + 1) // 0 means that no record has been spilled
		put = r.write(tail, uint64(len(place))|spilled, place)
	default:
		if r.lastSpill.Load() == tail.count()+1 { // its sender died before it moved the tail
			r.lastSpill.Store(0)
		}
		put = r.write(tail, uint64(len(b)), b)
	}

	if !put {
		err = errs.ErrClosed
	}
	return put, where, err
}

// sane reports whether there is room between the positions for as many records as they claim. Any
// process may have written the positions.
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

// write writes a record and moves the tail, unless the Ring has ended. It reports whether it did.
func (r *Ring) write(tail position, head uint64, b []byte) bool {
	at := tail.place()
	binary.LittleEndian.PutUint64(r.data[at:], head)
	at = (at + recordHead) % len(r.data)
	n := copy(r.data[at:], b)
	copy(r.data, b[n:])
	r.edge.release()
	return r.tail.CompareAndSwap(uint64(tail), uint64(r.behind(tail, len(b))))
}

// passOn wakes a process that waits at s if the function there returns true. If the Ring has ended,
// it wakes all processes that wait at s. In each process, only the first waiter is called, and that
// waiter calls passOn too. Usually there are no waiters; in that case, passOn reads nothing that
// the other side keeps changing.
func (r *Ring) passOn(s *park.WaitQueue, there func() bool) {
	switch {
	case !s.Waited():
	case r.Ended():
		s.WakeAll()
	case there():
		s.WakeOne()
	}
}

// madeRoom wakes a sender that waits for room, or all senders if the records of only some of them
// may fit in.
func (r *Ring) madeRoom() {
	if r.reserve {
		r.passOn(&r.notFull, func() bool { return true })
	} else {
		r.notFull.WakeAll()
	}
}

// passOnRoom is like madeRoom, but for a sender that was woken and does not need the remaining
// room.
func (r *Ring) passOnRoom() {
	r.passOn(&r.notFull, func() bool { return r.reserve && r.roomFor(0) != noRoom })
}

// waitFor waits until the function there returns true. It may return early.
func (r *Ring) waitFor(ctx context.Context, s *park.WaitQueue, there func() bool) error {
	spins := &r.forRecords
	if s == &r.notFull {
		spins = &r.forRoom
	}
	if soon(there) || spins.Until(there) {
		return ctx.Err() // with a corrupt word, the function there may return true forever
	}
	return s.Until(ctx, func(bool) bool { return there() })
}

// AwaitReleased waits until the function there returns true or the Ring has ended. Without
// RingShape.Elsewhere it calls that function whenever a process calls Released. With
// RingShape.Elsewhere, it polls.
func (r *Ring) AwaitReleased(ctx context.Context, there func() bool) error {
	over := func() bool { return there() || r.Ended() }
	if !r.reserve {
		return r.notFull.Until(ctx, func(bool) bool { return over() })
	}
	// The senders that wait for room in the Ring are woken one at a time. A wake-up that reached a
	// goroutine waiting for something else would be lost to them.

	pause := minReleasePoll
	for !over() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReleasePoll)
	}
	return nil
}

// Intervals at which AwaitReleased calls the function there.
const (
	minReleasePoll = 100 * time.Microsecond
	maxReleasePoll = 20 * time.Millisecond
)

// Released tells processes in AwaitReleased that this process has released the memory of a spilled
// record.
func (r *Ring) Released() { r.notFull.WakeAll() }

// Foresee makes Get and TryGet call f with each record before they take it, with the receivers'
// lock held. If a process dies after it has taken a record, the things that come with the record
// are lost, so f should do everything that takes a long time. Foresee must be called before the
// Ring is used.
func (r *Ring) Foresee(f func(Record)) { r.foresee = f }

// Get waits for a record and appends it to buf. It returns ErrClosed if the Ring has ended and is
// empty.
func (r *Ring) Get(ctx context.Context, buf []byte) (Record, error) {
	return r.getOr(buf, func() error { return r.lock(ctx, &r.get) }, func() error {
		return r.waitFor(ctx, &r.notEmpty, func() bool { return r.Len() > 0 || r.Ended() })
	})
}

// TryGet is like Get, but returns ErrEmpty instead of waiting, even if another receiver was stopped
// in the middle of a get.
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
			r.passOn(&r.notEmpty, r.some) // this goroutine may have consumed a wake-up
			return Record{Bytes: buf}, err
		}
	}
}

// tryGet receives the first record if there is one. The caller must hold r.get.
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

// recordAt returns the length of the first record between two sane positions. Any process may have
// written the record. recordAt checks that the record leaves enough room for the records after it
// and, if it is the last record, ends at the tail.
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

// Done records that a received record has been processed. It returns ErrOverRelease if all received
// records have been processed already.
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

// Join waits until Done has been called for each record that was put.
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

// reapRing opens the dead process's locks. The state that the locks guard is valid at every moment.
func reapRing(mem []byte, slot uint64) {
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
