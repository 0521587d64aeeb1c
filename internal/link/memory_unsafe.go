//go:build linux

package link

import (
	"sync/atomic"
	"unsafe"
)

// The segment between a parent and one worker. Offsets keep words that
// different sides write on cache lines of their own.
//
//	taskTail  parent: bytes of task records published
//	taskHead  worker: bytes of task records consumed
//	resTail   worker: bytes of result records committed
//	resHead   parent: bytes of result records collected
//	asleep    armed by the worker before it sleeps, taken by who wakes it
//	bell      the same for the parent
//	low       parent: beginning this task or a later one rings the bell
//	busy      worker: nanoseconds spent in finished tasks; tasks: how many
//	slow      worker: the last task that took long, and how long, see clock.tell
//	marks     two bits a task: begun by the worker, void by the parent; and their checksum
//	canaries  written by the parent before the worker starts, by nobody later
const (
	offTaskTail = 0
	offTaskHead = 64
	offResTail  = 128
	offResHead  = 192
	offAsleep   = 256
	offBell     = 320
	offLow      = 384
	offBusy     = 448
	offTasks    = 456
	offSlow     = 464
	offMarks    = 4096
	offTaskRing = 32768
	offResRing  = offTaskRing + ringSize

	ringSize = 1 << 20
	// inlineSize is the part of the result ring for results themselves; the
	// rest holds the heads of those that go over the socket, of all tasks
	// that can be on their way, so that a head always finds room.
	inlineSize = ringSize - slots*resultHead
	slots      = 1 << 15 // tasks that have marks
	marksSize  = slots / perWord * 8

	// Size is the size of the segment.
	Size = offResRing + ringSize
)

// memory gives typed access to the segment. Precondition of every method: the
// mapping is Size bytes long, page-aligned, and stays until the last use.
type memory []byte

func (m memory) word64(off int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m[off]))
}

func (m memory) word32(off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&m[off]))
}

// mark is a word of the marks.
func (m memory) mark(word uint32) *atomic.Uint64 { return m.word64(offMarks + int(word)*8) }

// canaries lie before, between and behind what a worker that writes where it
// should not would have to hit to be believed: the words, and the marks.
var canaries = [...]int{512, offMarks - 8, offMarks + marksSize, offTaskRing - 8}

// canary is neither zeros nor ones.
const canary = 0x6d702063616e6172

// release puts the canaries into a new segment, and the marks of the first tasks.
func (m memory) release() {
	m.prepare(0, 1)
	for _, off := range canaries {
		m.word64(off).Store(canary)
	}
}

// intact reports whether all canaries live. What was read before is then as
// trustworthy as the worker's code; otherwise something has been written over
// the segment, and nothing in it means anything.
func (m memory) intact() bool {
	for _, off := range canaries {
		if m.word64(off).Load() != canary {
			return false
		}
	}
	return true
}

func (m memory) taskRing() ring { return ring(m[offTaskRing : offTaskRing+ringSize]) }
func (m memory) resRing() ring  { return ring(m[offResRing : offResRing+ringSize]) }
