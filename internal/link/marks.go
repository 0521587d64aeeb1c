//go:build linux

package link

import (
	"math"
	mathbits "math/bits"
)

// Marks decide who has a task: the worker that begins it or the parent that
// takes it back. Each sets a bit and sees whether the other was first, so a
// task is run or taken back, never both, and what a dead worker had begun is
// known.
//
// A task's slot is its number modulo slots. The marks of perWord tasks share a
// word, whose upper half is a checksum of the lower half. So a stray write by a
// worker can make a started task look as if it had not started only if the write
// also produces the right checksum. A word is prepared when its first slot is
// used. By then the worker has passed all earlier tasks of the word: see MaxTasks.

const (
	perWord   = 16
	begunBits = 0x55555555 // the lower of each pair
	voidBits  = 0xaaaaaaaa
)

// marked is what a word with these bits holds.
func marked(bits, word uint32) uint64 {
	const salt = 0x6d61726b73616c74 // so that zeros do not hold
	sum := ((uint64(word)<<32 | uint64(bits)) ^ salt) * mix0
	return sum&^math.MaxUint32 | uint64(bits)
}

// marks returns the bits of a word, and what it holds; ok is false if something has been written over it.
func (m memory) marks(word uint32) (bits uint32, held uint64, ok bool) {
	held = m.mark(word).Load()
	bits = uint32(held)
	return bits, held, held == marked(bits, word)
}

// begin marks a task as begun, for the worker. mine is false if the parent took the task back; ok is false if the marks
// have been overwritten.
func (m memory) begin(seq uint32) (mine, ok bool) {
	slot := seq % slots
	word, shift := slot/perWord, slot%perWord*2
	for {
		bits, held, ok := m.marks(word)
		if !ok || bits>>shift&1 != 0 {
			return false, false
		}
		if bits>>shift&2 != 0 {
			return false, true
		}
		if m.mark(word).CompareAndSwap(held, marked(bits|1<<shift, word)) {
			return true, true
		}
	}
}

// begun reports whether the worker began the task. If that cannot be known, it may have.
func (m memory) begun(seq uint32) bool {
	slot := seq % slots
	bits, _, ok := m.marks(slot / perWord)
	return !ok || bits>>(slot%perWord*2)&1 != 0
}

// void takes back tasks from hi-1 downwards until lo or the first that was
// begun, or that may have been, and returns the lowest that it got; hi if none.
func (m memory) void(lo, hi uint32) uint32 {
	for hi != lo {
		slot := (hi - 1) % slots
		n := min(slot%perWord+1, hi-lo) // tasks of this word, ending with hi-1
		got := m.voidWord(slot, n)
		hi -= got
		if got < n {
			break
		}
	}
	return hi
}

// voidWord takes back up to n tasks from slot downwards, all of one word, and returns how many.
func (m memory) voidWord(slot, n uint32) uint32 {
	word, top := slot/perWord, slot%perWord*2
	for {
		bits, held, ok := m.marks(word)
		if !ok {
			return 0
		}
		if begun := bits & begunBits & span(top, n); begun != 0 {
			n = (top - uint32(31-mathbits.LeadingZeros32(begun))) / 2
		}
		if n == 0 || m.mark(word).CompareAndSwap(held, marked(bits|voidBits&span(top, n), word)) {
			return n
		}
	}
}

// prepare makes n slots from seq ready for new tasks: the words of which the first slot is among them.
func (m memory) prepare(seq, n uint32) {
	for first := (seq + perWord - 1) &^ (perWord - 1); first-seq < n; first += perWord {
		word := first % slots / perWord
		m.mark(word).Store(marked(0, word))
	}
}

// hold reports whether the marks of the tasks from lo to hi can be believed.
func (m memory) hold(lo, hi uint32) bool {
	for seq := lo &^ (perWord - 1); int32(hi-seq) > 0; seq += perWord {
		if _, _, ok := m.marks(seq % slots / perWord); !ok {
			return false
		}
	}
	return true
}

// span covers the pairs of n tasks of which the highest is at bit top.
func span(top, n uint32) uint32 {
	return uint32((uint64(1)<<(2*n) - 1) << (top + 2 - 2*n))
}
