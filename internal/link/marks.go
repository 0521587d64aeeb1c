//go:build linux

package link

import "sync/atomic"

// Marks decide who has a task: the worker that begins it or the parent that
// takes it back. Each sets a bit and looks whether the other was first, so a
// task is run or taken back, never both, and what a dead worker had begun is
// known.
//
// A task's slot is its number modulo slots; a slot is used again only after
// the worker has passed it.

const (
	begunBits = 0x55555555 // the lower of each pair
	voidBits  = 0xaaaaaaaa
)

// begin is the worker's: false if the parent took the task back.
func (m memory) begin(seq uint32) bool {
	slot := seq % slots
	shift := slot % 16 * 2
	return atomic.OrUint32(m.mark(slot), 1<<shift)>>shift&2 == 0
}

// begun reports whether the worker began the task.
func (m memory) begun(seq uint32) bool {
	slot := seq % slots
	return atomic.LoadUint32(m.mark(slot))>>(slot%16*2)&1 != 0
}

// void takes back tasks from hi-1 downwards until lo or the first that was
// begun, and returns the lowest that it got; hi if none.
func (m memory) void(lo, hi uint32) uint32 {
	for hi != lo {
		slot := (hi - 1) % slots
		n := min(slot%16+1, hi-lo) // tasks of this word, ending with hi-1
		top := slot % 16 * 2
		span := span(top, n)
		old := atomic.OrUint32(m.mark(slot), voidBits&span)
		for begun := old & begunBits & span; n > 0; n-- {
			if begun>>top&1 != 0 {
				return hi
			}
			hi, top = hi-1, top-2
		}
	}
	return hi
}

// clear makes n slots from seq ready for new tasks.
func (m memory) clear(seq, n uint32) {
	for n > 0 {
		slot := seq % slots
		k := min(16-slot%16, n)
		top := (slot%16 + k - 1) * 2
		atomic.AndUint32(m.mark(slot), ^span(top, k))
		seq, n = seq+k, n-k
	}
}

// span covers the pairs of n tasks of which the highest is at bit top.
func span(top, n uint32) uint32 {
	return uint32((uint64(1)<<(2*n) - 1) << (top + 2 - 2*n))
}
