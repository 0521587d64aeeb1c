package xsync

import (
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/shm"
)

// Reap releases what a dead process held of an object, and reports whether no process can use the
// object any longer. The memory may have any content. After Reap, the caller must tell all waiters
// to look again. Reap returns even if other processes keep overwriting the memory; in that case
// something may stay held.
func Reap(k Kind, mem []byte, slot int) (over bool) {
	if k >= kinds || len(mem) < k.Size() || slot <= 0 || slot >= park.MaxProcs {
		return false
	}

	s := uint64(slot)
	for i := range k.masks() { // waiters of other processes that share the bit will set it again
		shm.Word64(mem, offMask+8*i).And(^(uint64(1) << (slot % 64)))
	}

	switch k {
	case KindMutex, KindRecursive, KindValue:
		reapMutex(mem, s)
	case KindRWMutex:
		reapRWMutex(mem, s)
	case KindSemaphore:
		change(mem, func(w uint64) uint64 { return w &^ starvedBit })
	case KindBounded:
		reapBounded(mem, s)
	case KindCond:
		reapCond(mem, s)
	case KindBarrier:
		reapBarrier(mem, s)
	case KindRing:
		reapRing(mem, s)
	case KindPipe:
		return reapPipe(mem, s)
	case KindOwnership:
		reapHeld(mem, s)
	case KindOnce:
		change(mem, func(w uint64) uint64 {
			if w&slots == s {
				return w &^ slots
			}
			return w
		})
	}

	return false
}

// change changes the word of an object, whether or not the object is closed. It leaves a word
// without a generation alone.
func change(mem []byte, next func(w uint64) uint64) {
	word := shm.Word64(mem, offWord)
	for range tries {
		w := word.Load()
		n := next(w)
		if w>>32 == 0 || n == w || word.CompareAndSwap(w, n) {
			return
		}
	}
}
