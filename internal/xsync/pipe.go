package xsync

import (
	"context"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// A Pipe consists of two Rings, one for each direction, and has two ends. At most one process has
// an end at a time; no process has an end that is in transit to another process. If the process
// that has an end dies, the end is closed.
type Pipe struct {
	object
	ends  *atomic.Uint64
	rings [2]*Ring // what end 0 sends, and what end 1 sends
}

// PipeHead is the size of a Pipe without its records.
const PipeHead = Small + 2*RingSize

const offRings = Small

// NewPipe creates a Pipe whose two ends belong to this process. Each direction gets half of data,
// whose length must be a multiple of 16.
func NewPipe(m Memory, data []byte) *Pipe {
	mine := uint64(m.WaitTable.Slot())
	own(m.Bytes, 0).Store(mine | mine<<32)
	for i := range 2 {
		NewRing(m.ring(i), half(data, i), pipeShape(data))
	}
	birth(m, 0)
	return OpenPipe(m, data)
}

// OpenPipe opens the Pipe that already exists in m.
func OpenPipe(m Memory, data []byte) *Pipe {
	p := &Pipe{ends: own(m.Bytes, 0)}
	p.init(m)
	for i := range p.rings {
		p.rings[i] = OpenRing(m.ring(i), half(data, i), pipeShape(data))
	}
	return p
}

// ring returns the memory of the i-th ring's head.
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

// Sent returns the Ring with the records that an end sends.
func (p *Pipe) Sent(end int) *Ring { return p.rings[end] }

// Received returns the Ring with the records that an end receives.
func (p *Pipe) Received(end int) *Ring { return p.rings[1-end] }

// endOf returns the state of one end. The word w contains the states of both.
func endOf(w uint64, end int) uint64 { return w >> (32 * end) & stateMask }

// withEnd returns w with the state of one end replaced by s.
func withEnd(w uint64, end int, s uint64) uint64 {
	return w&^(stateMask<<(32*end)) | s<<(32*end)
}

// changeEnd replaces the state of an end with next's result if ok returns true for that state. It
// returns the states of both ends.
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

// over reports whether both ends are closed.
func over(both uint64) bool { return both&(both>>32)&ended != 0 }

// Over reports whether both ends are closed.
func (p *Pipe) Over() bool { return !p.alive(p.word.Load()) || over(p.ends.Load()) }

// Depart sends an end that this process has held since epoch, and returns the next epoch. Unless
// forGood is set, the end is closed if this process dies before the end arrives.
func (p *Pipe) Depart(end int, epoch uint32, forGood bool) (next uint32, ok bool) {
	both, ok := p.changeEnd(end, since(p.me, epoch), func(uint64) uint64 { return departing(p.me, epoch, forGood) })
	return epochOf(endOf(both, end)), ok
}

// Settle makes an end that this process has sent stay in transit even if this process dies.
func (p *Pipe) Settle(end int, epoch uint32) {
	p.changeEnd(end, left(p.me, epoch), func(uint64) uint64 { return inTransitAt(epoch) })
}

// Arrive takes, or takes back, an end that is in transit, and reports whether it did.
func (p *Pipe) Arrive(end int, epoch uint32) bool {
	_, ok := p.changeEnd(end, moving(epoch), func(uint64) uint64 { return p.me | uint64(epoch)<<epochShift })
	return ok
}

// Has reports whether this process has held the given end since epoch.
func (p *Pipe) Has(end int, epoch uint32) bool {
	return since(p.me, epoch)(endOf(p.ends.Load(), end))
}

// Lose closes an end that will not arrive, and reports whether that was the last open end.
func (p *Pipe) Lose(end int, epoch uint32) (last bool) {
	last, _ = p.closeEnd(end, moving(epoch))
	return last
}

// CloseEnd closes an end that this process has held since epoch, and reports whether that was the
// last open end.
func (p *Pipe) CloseEnd(end int, epoch uint32) (last bool) {
	last, done := p.closeEnd(end, since(p.me, epoch))
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

		n := withEnd(w, end, s&^(slots|inTransit)|p.me|ended)
		if last = over(n); last {
			n = withEnd(n, 1-end, endOf(n, 1-end)&^slots) // only one process releases the memory: see reapPipe
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

// closeHere closes the Pipe in this process only. It is for an end that cannot be closed because
// the memory does not say that this process has it. Goroutines of this process that wait at the
// Pipe must return nevertheless.
func (p *Pipe) closeHere() {
	for _, r := range p.rings {
		r.Close(false)
	}
}

// Close closes the Pipe for all processes.
func (p *Pipe) Close() {
	for _, r := range p.rings {
		r.Close(true)
	}
	p.close(true)
}

// Ready waits until the Ring has a record or has ended.
func (r *Ring) Ready(ctx context.Context) error {
	err := r.waitFor(ctx, &r.notEmpty, r.ReadyNow)
	r.passOn(&r.notEmpty, r.some) // Ready has taken nothing
	return err
}

// FitsIn reports whether a record of n bytes is never spilled. It is for a Ring without
// RingShape.Elsewhere.
func (r *Ring) FitsIn(n int) bool { return r.takes(n) <= len(r.data)/4 }

// NextSpill reports whether there is a next record and it is spilled. If so, it copies the record's
// place into place. It takes no lock, so its answer is exact if the caller is the only receiver,
// and a guess if not.
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

// ReadyNow reports whether Get would return at once.
func (r *Ring) ReadyNow() bool { return r.Len() > 0 || r.Ended() }

// reapPipe closes the ends that the dead process had. It reports whether the caller must release
// the memory, because the last end was among them, or because the dead process had closed the last
// end itself.
func reapPipe(mem []byte, slot uint64) (last bool) {
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
			reapRings(mem, int(slot), n&(ended|ended<<32) != 0)
			return over(n) && (!over(w) || closedLast(w, slot))
		}
	}

	reapRings(mem, int(slot), false)
	return false
}

// closedLast reports whether the process with this slot closed the last of the two ends.
func closedLast(ends, slot uint64) bool {
	first, second := endOf(ends, 0)&slots, endOf(ends, 1)&slots
	return first == slot && second == 0 || second == slot && first == 0
}

func reapRings(mem []byte, slot int, closed bool) {
	for i := range 2 {
		ring := mem[offRings+i*RingSize:][:RingSize]
		Reap(KindRing, ring, slot)
		if tail := shm.Word64(ring, offTail); closed && tail.Load()&born != 0 {
			tail.Or(noMore)
		}
	}
}
