//go:build linux

package link

import (
	"math"
	mathbits "math/bits"
)

// Marks decide whether a task goes to the worker, which starts it, or to the parent, which takes it
// back. Each side sets a bit and sees whether the other side was first. So a task is either run or
// taken back, never both, and the parent knows which tasks a dead worker had started.
//
// A task's slot is its number modulo slots. The marks of perWord tasks share a word, whose upper
// half is a checksum of the lower half. A worker's stray write makes a started task look as if it
// had not started only if the write also produces the right checksum. A word is prepared when its
// first slot is used. By then, the worker has passed all earlier tasks of the word (see MaxTasks).

const (
	perWord   = 16
	begunBits = 0x55555555 // the lower bit of each pair
	voidBits  = 0xaaaaaaaa
)

// marked returns the contents of a word of marks with the given bits.
func marked(bits, word uint32) uint64 {
	const salt = 0x6d61726b73616c74 // makes a word of zeros invalid
	sum := ((uint64(word)<<32 | uint64(bits)) ^ salt) * mix0
	return sum&^math.MaxUint32 | uint64(bits)
}

// marks returns the bits of a word of marks and the word's contents. The result ok is false if the
// word has been overwritten.
func (m memory) marks(word uint32) (bits uint32, held uint64, ok bool) {
	held = m.mark(word).Load()
	bits = uint32(held)
	return bits, held, held == marked(bits, word)
}

// begin marks a task as started. Only the worker calls it. The result mine is false if the parent
// has taken the task back. The result ok is false if the marks have been overwritten.
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

// begun reports whether the worker may have started the task.
func (m memory) begun(seq uint32) bool {
	slot := seq % slots
	bits, _, ok := m.marks(slot / perWord)
	return !ok || bits>>(slot%perWord*2)&1 != 0
}

// void takes back tasks from hi-1 down to lo, but stops at a task that may have started. It returns
// the lowest task that it took back, or hi if there is none.
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

// voidWord takes back up to n tasks of one word, from slot downward. It returns how many tasks it
// took back.
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

// prepare prepares the slots of n new tasks, beginning with task seq. It resets each word whose
// first slot is among these slots.
func (m memory) prepare(seq, n uint32) {
	for first := (seq + perWord - 1) &^ (perWord - 1); first-seq < n; first += perWord {
		word := first % slots / perWord
		m.mark(word).Store(marked(0, word))
	}
}

// intactMarks reports whether the marks of the tasks from lo to hi are intact.
func (m memory) intactMarks(lo, hi uint32) bool {
	for seq := lo &^ (perWord - 1); int32(hi-seq) > 0; seq += perWord {
		if _, _, ok := m.marks(seq % slots / perWord); !ok {
			return false
		}
	}
	return true
}

// span returns a mask of the bit pairs of n tasks, the highest of which is at bit top.
func span(top, n uint32) uint32 {
	return uint32((uint64(1)<<(2*n) - 1) << (top + 2 - 2*n))
}
