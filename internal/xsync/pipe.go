package xsync

import (
	"context"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// A Pipe is two Rings, one for each direction, with two ends. One process has an end at a
// time, or nobody while it is on its way to another one; when the process that has it
// dies, the end is closed.
type Pipe struct {
	object
	ends  *atomic.Uint64
	rings [2]*Ring // what end 0 sends, what end 1 sends
}

// PipeHead is the size of a Pipe without its records.
const PipeHead = Small + 2*RingSize

const offRings = Small

// NewPipe makes a Pipe, of which this process has both ends. Half of data, a multiple of 16,
// is for each direction.
func NewPipe(m Memory, data []byte) *Pipe {
	mine := uint64(m.Lot.Slot())
	own(m.Bytes, 0).Store(mine | mine<<32)
	for i := range 2 {
		NewRing(m.ring(i), half(data, i), pipeShape(data))
	}
	birth(m, 0)
	return OpenPipe(m, data)
}

// OpenPipe returns the Pipe that is there already.
func OpenPipe(m Memory, data []byte) *Pipe {
	p := &Pipe{ends: own(m.Bytes, 0)}
	p.init(m)
	for i := range p.rings {
		p.rings[i] = OpenRing(m.ring(i), half(data, i), pipeShape(data))
	}
	return p
}

// ring is the memory of the i-th ring's head.
func (m Memory) ring(i int) Memory {
	at := offRings + i*RingSize
	m.Bytes, m.Bucket = m.Bytes[at:at+RingSize], m.Bucket+uint32(8*i)
	return m
}

func half(data []byte, i int) []byte {
	n := len(data) / 2
	return data[i*n : (i+1)*n : (i+1)*n]
}

func pipeShape(data []byte) RingShape { return RingShape{Most: len(data) / 2 / recordHead} }

// Sent is the Ring with what an end sends; the other end receives that.
func (p *Pipe) Sent(end int) *Ring { return p.rings[end] }

// Received is the Ring with what an end receives.
func (p *Pipe) Received(end int) *Ring { return p.rings[1-end] }

// end is the state of one in the word of both.
func endOf(w uint64, end int) uint64 { return w >> (32 * end) & stateMask }

func withEnd(w uint64, end int, s uint64) uint64 {
	return w&^(stateMask<<(32*end)) | s<<(32*end)
}

// changeEnd changes the state of an end for which ok holds, and returns those of both.
func (p *Pipe) changeEnd(end int, ok func(s uint64) bool, next func(s uint64) uint64) (both uint64, done bool) {
	for range tries {
		w := p.ends.Load()
		s := endOf(w, end)
		if !p.alive(p.word.Load()) || !ok(s) {
			return w, false
		}
		n := withEnd(w, end, next(s))
		if p.ends.CompareAndSwap(w, n) {
			return n, true
		}
	}
	return 0, false
}

// over says that both ends are closed.
func over(both uint64) bool { return both&(both>>32)&ended != 0 }

// Over reports whether both ends are closed.
func (p *Pipe) Over() bool { return !p.alive(p.word.Load()) || over(p.ends.Load()) }

// Depart lets an end go that this process has since a trip, and returns the number of
// the next trip. Unless forGood it is closed when this process dies before it arrives.
func (p *Pipe) Depart(end int, trip uint32, forGood bool) (next uint32, ok bool) {
	both, ok := p.changeEnd(end, since(p.me, trip), func(uint64) uint64 { return departing(p.me, trip, forGood) })
	return tripOf(endOf(both, end)), ok
}

// Settle makes an end that this process let go on a trip go for good.
func (p *Pipe) Settle(end int, trip uint32) {
	p.changeEnd(end, left(p.me, trip), func(uint64) uint64 { return onTripOf(trip) })
}

// Arrive takes an end that is on a trip, or takes it back, and reports whether it did.
func (p *Pipe) Arrive(end int, trip uint32) bool {
	_, ok := p.changeEnd(end, moving(trip), func(uint64) uint64 { return p.me | uint64(trip)<<tripShift })
	return ok
}

// Has reports whether this process has an end since a trip.
func (p *Pipe) Has(end int, trip uint32) bool {
	return since(p.me, trip)(endOf(p.ends.Load(), end))
}

// Lose closes an end that will not arrive, and reports whether it was the last one.
func (p *Pipe) Lose(end int, trip uint32) (last bool) {
	last, _ = p.closeEnd(end, moving(trip))
	return last
}

// CloseEnd closes an end that this process has since a trip, and reports whether it was
// the last one.
func (p *Pipe) CloseEnd(end int, trip uint32) (last bool) {
	last, done := p.closeEnd(end, since(p.me, trip))
	if !done {
		p.closeHere()
	}
	return last
}

func (p *Pipe) closeEnd(end int, ok func(s uint64) bool) (last, done bool) {
	for range tries {
		w := p.ends.Load()
		s := endOf(w, end)
		if !p.alive(p.word.Load()) || !ok(s) {
			return false, false
		}
		n := withEnd(w, end, s&^(slots|onTrip)|p.me|ended)
		if last = over(n); last {
			n = withEnd(n, 1-end, endOf(n, 1-end)&^slots) // only one process gives the memory back: see buryPipe
		}
		if p.ends.CompareAndSwap(w, n) {
			for _, r := range p.rings {
				r.End()
			}
			return last, true
		}
	}
	return false, false
}

// closeHere closes the Pipe in this process only. It is for an end that cannot be closed because the
// memory does not say that this process has it: goroutines that wait there must return all the same.
func (p *Pipe) closeHere() {
	for _, r := range p.rings {
		r.Close(false)
	}
}

// Close makes the Pipe closed for everybody.
func (p *Pipe) Close() {
	for _, r := range p.rings {
		r.Close(true)
	}
	p.close(true)
}

// Ready waits until there is something to get, or there never will be.
func (r *Ring) Ready(ctx context.Context) error {
	err := r.waitFor(ctx, &r.notEmpty, r.ReadyNow)
	r.passOn(&r.notEmpty, r.some) // nothing has been taken
	return err
}

// FitsIn reports whether a record of n bytes lies in a Ring without places elsewhere for
// all, however full it is.
func (r *Ring) FitsIn(n int) bool { return r.takes(n) <= len(r.data)/4 }

// NextSpill copies the place of the next record, and reports whether there is one and it lies elsewhere. It takes no
// lock: the answer is exact for the only receiver, and a guess for others.
func (r *Ring) NextSpill(place []byte) bool {
	head, tail := r.positions()
	if !r.alive(r.word.Load()) || head.count() == tail.count() || !r.sane(head, tail) {
		return false
	}
	n, isSpilled, err := r.recordAt(head, tail)
	if err != nil || !isSpilled {
		return false
	}
	at := (head.place() + recordHead) % len(r.data)
	first := copy(place[:n], r.data[at:])
	copy(place[first:n], r.data)
	r.edge.acquire()
	return true
}

// ReadyNow reports whether Get would not wait.
func (r *Ring) ReadyNow() bool { return r.Len() > 0 || r.Ended() }

// buryPipe closes the ends that the dead had, and reports whether the last one was among them, or whether the dead had
// closed the last one itself: then nobody else gives the memory back.
func buryPipe(mem []byte, slot uint64) (last bool) {
	ends := own(mem, 0)
	for range tries {
		w := ends.Load()
		n := w
		for end := range 2 {
			if s := endOf(w, end); s&slots == slot {
				n = withEnd(n, end, s|ended)
			}
		}
		if ends.CompareAndSwap(w, n) {
			buryRings(mem, int(slot), n&(ended|ended<<32) != 0)
			return over(n) && (!over(w) || closedLast(w, slot))
		}
	}
	buryRings(mem, int(slot), false)
	return false
}

// closedLast reports whether a process has closed the last of two ends.
func closedLast(ends, slot uint64) bool {
	first, second := endOf(ends, 0)&slots, endOf(ends, 1)&slots
	return first == slot && second == 0 || second == slot && first == 0
}

func buryRings(mem []byte, slot int, closed bool) {
	for i := range 2 {
		ring := mem[offRings+i*RingSize:][:RingSize]
		Bury(KindRing, ring, slot)
		if tail := shm.Word64(ring, offTail); closed && tail.Load()&born != 0 {
			tail.Or(noMore)
		}
	}
}
