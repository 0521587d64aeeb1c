package xsync

import "sync/atomic"

// An Ownership stands for something that at most one process has at a time. While it moves from one
// process to another, it is in transit. If no process has it and it is not in transit, it is free.
// It becomes free when the process that has it dies.
type Ownership struct {
	object
	state *atomic.Uint64
}

// The state of an Ownership, and of an end of a Pipe, is half a word. It contains the slot of the
// process that has the thing. While the thing is in transit, the slot is that of the sender if the
// sender's death must end the thing, and 0 if not.
const (
	inTransit  = 1 << 10
	ended      = 1 << 11 // of an Ownership: it is free
	epochShift = 12      // of the epoch, the number of transfers so far
	epochMask  = 1<<20 - 1
	stateMask  = 1<<32 - 1
)

// epochOf returns the epoch in a state.
func epochOf(s uint64) uint32 { return uint32(s >> epochShift) }

// inTransitAt returns the state of something in transit in an epoch.
func inTransitAt(epoch uint32) uint64 { return inTransit | uint64(epoch)&epochMask<<epochShift }

// since returns a predicate on states that reports whether the process with this slot has held the
// thing since epoch.
func since(slot uint64, epoch uint32) func(s uint64) bool {
	return func(s uint64) bool { return s == slot|uint64(epoch)<<epochShift }
}

// moving returns a predicate on states that reports whether the thing is in transit in the given
// epoch.
func moving(epoch uint32) func(s uint64) bool {
	return func(s uint64) bool { return s&(inTransit|ended) == inTransit && epochOf(s) == epoch }
}

// departing returns the state of something that the process with this slot has sent. If forGood is
// set, the sender's death does not end the thing.
func departing(slot uint64, epoch uint32, forGood bool) uint64 {
	if forGood {
		slot = 0
	}
	return inTransitAt(epoch+1) | slot
}

// left returns a predicate on states that reports whether the thing is in transit and would end if
// the process with this slot died.
func left(slot uint64, epoch uint32) func(s uint64) bool {
	return func(s uint64) bool { return s == inTransitAt(epoch)|slot }
}

// NewOwnership creates an Ownership in m, which must have Small bytes. This process has the
// Ownership from epoch 0 on.
func NewOwnership(m Memory) *Ownership {
	own(m.Bytes, 0).Store(uint64(m.WaitTable.Slot()))
	birth(m, 0)
	return OpenOwnership(m)
}

// OpenOwnership opens the Ownership that already exists in m.
func OpenOwnership(m Memory) *Ownership {
	h := &Ownership{state: own(m.Bytes, 0)}
	h.init(m)
	return h
}

// Notes returns words in which the creator records what else belongs to the Ownership. Any process
// may write them.
func (h *Ownership) Notes() [3]*atomic.Uint64 {
	return [3]*atomic.Uint64{own(h.mem, 1), own(h.mem, 2), own(h.mem, 3)}
}

// Close closes the Ownership, for all processes if this one owns it.
func (h *Ownership) Close(owned bool) { h.close(owned) }

// change replaces the state with next's result if ok returns true for the state. It returns the
// state that it leaves.
func (h *Ownership) change(ok func(s uint64) bool, next func(s uint64) uint64) (state uint64, done bool) {
	for range tries {
		s := h.state.Load()
		if !h.alive(h.word.Load()) || !ok(s) {
			return s, false
		}
		if n := next(s); h.state.CompareAndSwap(s, n) {
			return n, true
		}
	}
	return 0, false
}

// Claim takes the Ownership if it is free, and returns the epoch since which this process has it.
func (h *Ownership) Claim() (epoch uint32, ok bool) {
	s, ok := h.change(
		func(s uint64) bool { return s&ended != 0 },
		func(s uint64) uint64 { return h.me | (inTransitAt(epochOf(s)+1) &^ inTransit) })
	if ok {
		h.edge.acquire()
	}
	return epochOf(s), ok
}

// Depart sends the Ownership, which this process has held since epoch, and returns the next epoch.
// Unless forGood is set, the Ownership becomes free if this process dies before the Ownership
// arrives.
func (h *Ownership) Depart(epoch uint32, forGood bool) (next uint32, ok bool) {
	h.edge.release()
	s, ok := h.change(since(h.me, epoch), func(uint64) uint64 { return departing(h.me, epoch, forGood) })
	return epochOf(s), ok
}

// Settle makes an Ownership that this process has sent stay in transit even if this process dies.
func (h *Ownership) Settle(epoch uint32) {
	h.change(left(h.me, epoch), func(uint64) uint64 { return inTransitAt(epoch) })
}

// Arrive takes, or takes back, the Ownership that is in transit, and reports whether it did.
func (h *Ownership) Arrive(epoch uint32) bool {
	_, ok := h.change(moving(epoch), func(uint64) uint64 { return h.me | uint64(epoch)<<epochShift })
	if ok {
		h.edge.acquire()
	}
	return ok
}

// Lose frees an Ownership in transit that will not arrive.
func (h *Ownership) Lose(epoch uint32) { h.change(moving(epoch), free) }

// Free frees an Ownership that this process has held since epoch.
func (h *Ownership) Free(epoch uint32) {
	h.edge.release()
	h.change(since(h.me, epoch), free)
}

func free(s uint64) uint64 { return s | ended }

// IsFree reports whether no process has the Ownership and it is not in transit.
func (h *Ownership) IsFree() bool { return h.state.Load()&ended != 0 }

// Mine reports whether this process has the Ownership.
func (h *Ownership) Mine() bool {
	s := h.state.Load()
	return s&slots == h.me && s&(inTransit|ended) == 0
}

// Has reports whether this process has held the Ownership since epoch.
func (h *Ownership) Has(epoch uint32) bool { return since(h.me, epoch)(h.state.Load()) }

// Moving reports whether the Ownership is in transit.
func (h *Ownership) Moving() bool { return h.state.Load()&(inTransit|ended) == inTransit }

// reapHeld frees what the dead process had or had sent.
func reapHeld(mem []byte, slot uint64) {
	state := own(mem, 0)
	for range tries {
		s := state.Load()
		if s&slots != slot || state.CompareAndSwap(s, s|ended) {
			return
		}
	}
}

// FreeOwnership returns the first note of an Ownership, and whether the Ownership is free. The
// memory may have any content.
func FreeOwnership(mem []byte) (note uint64, free bool) {
	if len(mem) < KindOwnership.Size() {
		return 0, false
	}
	return own(mem, 1).Load(), own(mem, 0).Load()&ended != 0
}
