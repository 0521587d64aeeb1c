package xsync

import "sync/atomic"

// A Held stands for something that at most one process has at a time. It is in transit while it
// moves from one process to another, and free when no process has it. It becomes free when the
// process that has it dies.
type Held struct {
	object
	state *atomic.Uint64
}

// The state of a Held, and of an end of a Pipe, is half a word. It contains the slot of the process
// that has the thing. While the thing is in transit, the slot is that of the sender if the sender's
// death must end it, else 0.
const (
	onTrip    = 1 << 10
	ended     = 1 << 11 // of a Held: it is free
	tripShift = 12      // of the epoch, the number of transfers so far
	tripMask  = 1<<20 - 1
	stateMask = 1<<32 - 1
)

// tripOf returns the epoch in a state.
func tripOf(s uint64) uint32 { return uint32(s >> tripShift) }

// onTripOf returns the state of something in transit in an epoch.
func onTripOf(trip uint32) uint64 { return onTrip | uint64(trip)&tripMask<<tripShift }

// since returns a predicate on states. It reports whether the process with this slot has had the
// thing since the epoch trip.
func since(slot uint64, trip uint32) func(s uint64) bool {
	return func(s uint64) bool { return s == slot|uint64(trip)<<tripShift }
}

// moving returns a predicate on states. It reports whether the thing is in transit in the epoch
// trip.
func moving(trip uint32) func(s uint64) bool {
	return func(s uint64) bool { return s&(onTrip|ended) == onTrip && tripOf(s) == trip }
}

// departing returns the state of something that the process with this slot has sent. With forGood,
// the sender's death does not end it.
func departing(slot uint64, trip uint32, forGood bool) uint64 {
	if forGood {
		slot = 0
	}
	return onTripOf(trip+1) | slot
}

// left returns a predicate on states. It reports whether the thing is in transit and would end with
// the process that has this slot.
func left(slot uint64, trip uint32) func(s uint64) bool {
	return func(s uint64) bool { return s == onTripOf(trip)|slot }
}

// NewHeld creates a Held in Small bytes. This process has it, since epoch 0.
func NewHeld(m Memory) *Held {
	own(m.Bytes, 0).Store(uint64(m.Lot.Slot()))
	birth(m, 0)
	return OpenHeld(m)
}

// OpenHeld opens the Held that already exists in m.
func OpenHeld(m Memory) *Held {
	h := &Held{state: own(m.Bytes, 0)}
	h.init(m)
	return h
}

// Notes returns words in which the creator records what else belongs to the Held. Any process may
// write them.
func (h *Held) Notes() [3]*atomic.Uint64 {
	return [3]*atomic.Uint64{own(h.mem, 1), own(h.mem, 2), own(h.mem, 3)}
}

// Close closes the Held, for all processes if this one owns it.
func (h *Held) Close(owned bool) { h.close(owned) }

// change replaces a state for which ok holds by next's result, and returns the state that it
// leaves.
func (h *Held) change(ok func(s uint64) bool, next func(s uint64) uint64) (state uint64, done bool) {
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

// Claim takes the Held if it is free, and returns the epoch since which this process has it.
func (h *Held) Claim() (trip uint32, ok bool) {
	s, ok := h.change(
		func(s uint64) bool { return s&ended != 0 },
		func(s uint64) uint64 { return h.me | (onTripOf(tripOf(s)+1) &^ onTrip) })
	if ok {
		h.edge.acquire()
	}
	return tripOf(s), ok
}

// Depart sends the Held, which this process has had since the epoch trip, and returns the next
// epoch. Unless forGood is set, the Held becomes free if this process dies before it arrives.
func (h *Held) Depart(trip uint32, forGood bool) (next uint32, ok bool) {
	h.edge.release()
	s, ok := h.change(since(h.me, trip), func(uint64) uint64 { return departing(h.me, trip, forGood) })
	return tripOf(s), ok
}

// Settle makes a Held that this process has sent stay in transit even if this process dies.
func (h *Held) Settle(trip uint32) {
	h.change(left(h.me, trip), func(uint64) uint64 { return onTripOf(trip) })
}

// Arrive takes, or takes back, the Held that is in transit, and reports whether it did.
func (h *Held) Arrive(trip uint32) bool {
	_, ok := h.change(moving(trip), func(uint64) uint64 { return h.me | uint64(trip)<<tripShift })
	if ok {
		h.edge.acquire()
	}
	return ok
}

// Lose frees a Held in transit that will not arrive.
func (h *Held) Lose(trip uint32) { h.change(moving(trip), free) }

// Free frees a Held that this process has had since the epoch trip.
func (h *Held) Free(trip uint32) {
	h.edge.release()
	h.change(since(h.me, trip), free)
}

func free(s uint64) uint64 { return s | ended }

// IsFree reports whether no process has the Held and it is not in transit.
func (h *Held) IsFree() bool { return h.state.Load()&ended != 0 }

// Mine reports whether this process has the Held.
func (h *Held) Mine() bool {
	s := h.state.Load()
	return s&slots == h.me && s&(onTrip|ended) == 0
}

// Has reports whether this process has had the Held since the epoch trip.
func (h *Held) Has(trip uint32) bool { return since(h.me, trip)(h.state.Load()) }

// Moving reports whether the Held is in transit.
func (h *Held) Moving() bool { return h.state.Load()&(onTrip|ended) == onTrip }

// buryHeld frees what the dead process had or had sent.
func buryHeld(mem []byte, slot uint64) {
	state := own(mem, 0)
	for range tries {
		s := state.Load()
		if s&slots != slot || state.CompareAndSwap(s, s|ended) {
			return
		}
	}
}

// FreeHeld returns the first note of a Held, and whether the Held is free. The memory may have any
// content.
func FreeHeld(mem []byte) (note uint64, free bool) {
	if len(mem) < KindHeld.Size() {
		return 0, false
	}
	return own(mem, 1).Load(), own(mem, 0).Load()&ended != 0
}
