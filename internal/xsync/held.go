package xsync

import "sync/atomic"

// A Held stands for something that one process has at a time, or nobody while it is on its way, or
// free. When the process dies that has it, it is free.
type Held struct {
	object
	state *atomic.Uint64
}

// The state, half a word, of a Held and of the end of a Pipe: the slot of the process that has
// it, or had it when it left for a place where it matters whether that dies.
const (
	onTrip    = 1 << 10
	ended     = 1 << 11 // of a Held: it is free
	tripShift = 12      // how often it has moved
	tripMask  = 1<<20 - 1
	stateMask = 1<<32 - 1
)

func tripOf(s uint64) uint32 { return uint32(s >> tripShift) }

func onTripOf(trip uint32) uint64 { return onTrip | uint64(trip)&tripMask<<tripShift }

// since says that the process that has slot has something since a trip.
func since(slot uint64, trip uint32) func(s uint64) bool {
	return func(s uint64) bool { return s == slot|uint64(trip)<<tripShift }
}

// moving says that something is on its trip.
func moving(trip uint32) func(s uint64) bool {
	return func(s uint64) bool { return s&(onTrip|ended) == onTrip && tripOf(s) == trip }
}

// departing is the state of what the process that has slot lets go.
func departing(slot uint64, trip uint32, forGood bool) uint64 {
	if forGood {
		slot = 0
	}
	return onTripOf(trip+1) | slot
}

// left says that what the process that has slot let go is on its trip, and not for good.
func left(slot uint64, trip uint32) func(s uint64) bool {
	return func(s uint64) bool { return s == onTripOf(trip)|slot }
}

// NewHeld makes a Held in Small bytes, which this process has since trip 0.
func NewHeld(m Memory) *Held {
	own(m.Bytes, 0).Store(uint64(m.Lot.Slot()))
	birth(m, 0)
	return OpenHeld(m)
}

// OpenHeld returns the Held that is there already.
func OpenHeld(m Memory) *Held {
	h := &Held{state: own(m.Bytes, 0)}
	h.init(m)
	return h
}

// Notes are words in which its maker says what else belongs to it, and anybody may write.
func (h *Held) Notes() [3]*atomic.Uint64 {
	return [3]*atomic.Uint64{own(h.mem, 1), own(h.mem, 2), own(h.mem, 3)}
}

// Close makes it closed: for everybody if this process owns it.
func (h *Held) Close(owned bool) { h.close(owned) }

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

// Claim takes it if it is free, and returns the trip since which this process has it.
func (h *Held) Claim() (trip uint32, ok bool) {
	s, ok := h.change(
		func(s uint64) bool { return s&ended != 0 },
		func(s uint64) uint64 { return h.me | (onTripOf(tripOf(s)+1) &^ onTrip) })
	if ok {
		h.edge.acquire()
	}
	return tripOf(s), ok
}

// Depart lets it go, which this process has since a trip, and returns the number of the next
// trip. Unless forGood it is free when this process dies before it arrives.
func (h *Held) Depart(trip uint32, forGood bool) (next uint32, ok bool) {
	h.edge.release()
	s, ok := h.change(since(h.me, trip), func(uint64) uint64 { return departing(h.me, trip, forGood) })
	return tripOf(s), ok
}

// Settle makes what this process let go on a trip go for good.
func (h *Held) Settle(trip uint32) {
	h.change(left(h.me, trip), func(uint64) uint64 { return onTripOf(trip) })
}

// Arrive takes what is on a trip, or takes it back, and reports whether it did.
func (h *Held) Arrive(trip uint32) bool {
	_, ok := h.change(moving(trip), func(uint64) uint64 { return h.me | uint64(trip)<<tripShift })
	if ok {
		h.edge.acquire()
	}
	return ok
}

// Lose frees what will not arrive; Free what this process has since a trip.
func (h *Held) Lose(trip uint32) { h.change(moving(trip), free) }

// Free is Lose for what has arrived.
func (h *Held) Free(trip uint32) {
	h.edge.release()
	h.change(since(h.me, trip), free)
}

func free(s uint64) uint64 { return s | ended }

// IsFree reports whether nobody has it, and it is not on its way.
func (h *Held) IsFree() bool { return h.state.Load()&ended != 0 }

// Mine reports whether this process has it.
func (h *Held) Mine() bool {
	s := h.state.Load()
	return s&slots == h.me && s&(onTrip|ended) == 0
}

// Has reports whether this process has it since a trip.
func (h *Held) Has(trip uint32) bool { return since(h.me, trip)(h.state.Load()) }

// Moving reports whether it is on its way.
func (h *Held) Moving() bool { return h.state.Load()&(onTrip|ended) == onTrip }

// buryHeld frees what the dead had.
func buryHeld(mem []byte, slot uint64) {
	state := own(mem, 0)
	for range tries {
		s := state.Load()
		if s&slots != slot || state.CompareAndSwap(s, s|ended) {
			return
		}
	}
}

// FreeHeld returns the first note of a Held in memory of which nothing need be true, and whether it
// is free.
func FreeHeld(mem []byte) (note uint64, free bool) {
	if len(mem) < KindHeld.Size() {
		return 0, false
	}
	return own(mem, 1).Load(), own(mem, 0).Load()&ended != 0
}
