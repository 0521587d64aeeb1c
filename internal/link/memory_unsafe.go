//go:build linux

package link

import (
	"sync/atomic"
	"unsafe"
)

// These are the offsets in the segment between a parent and one worker. Words that are written by
// different sides are on different cache lines.
//
//	taskTail  parent: bytes of task records published
//	taskHead  worker: bytes of task records consumed
//	resTail   worker: bytes of result records committed
//	resHead   parent: bytes of result records collected
//	asleep    armed by the worker before it sleeps, disarmed by the process that wakes it
//	doorbell  the same for the parent
//	low       parent: the worker rings when it starts this task or a later one
//	busy      worker: nanoseconds spent in finished tasks; tasks: their number
//	slow      worker: the last slow task and its duration (see clock.tell)
//	marks     two bits for each task, begun by the worker and void by the parent; and a checksum
//	canaries  written by the parent before the worker starts, never later
const (
	offTaskTail = 0
	offTaskHead = 64
	offResTail  = 128
	offResHead  = 192
	offAsleep   = 256
	offDoorbell = 320
	offLow      = 384
	offBusy     = 448
	offTasks    = 456
	offSlow     = 464
	offMarks    = 4096
	offTaskRing = 32768
	offResRing  = offTaskRing + ringSize

	ringSize = 1 << 20
	// inlineSize is the size of the part of the result ring that is for the results themselves. The
	// rest is reserved for the heads of results that go over the socket. It has room for the heads
	// of all tasks that can be in transit.
	inlineSize = ringSize - slots*resultHead
	slots      = 1 << 15 // number of tasks that have marks
	marksSize  = slots / perWord * 8

	// Size is the size of the segment.
	Size = offResRing + ringSize
)

// memory provides typed access to the segment. All methods require the mapping to be Size bytes
// long and page-aligned, and to stay mapped until the last use.
type memory []byte

func (m memory) word64(off int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m[off]))
}

func (m memory) word32(off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&m[off]))
}

// mark returns a word of the marks.
func (m memory) mark(word uint32) *atomic.Uint64 { return m.word64(offMarks + int(word)*8) }

// canaries holds the offsets of the canaries. The canaries surround the control words and the
// marks, so a stray write to a control word or a mark probably hits a canary, too.
var canaries = [...]int{512, offMarks - 8, offMarks + marksSize, offTaskRing - 8}

// canary is neither all zeros nor all ones.
const canary = 0x6d702063616e6172

// release initializes the canaries and the first marks of a new segment.
func (m memory) release() {
	m.prepare(0, 1)
	for _, off := range canaries {
		m.word64(off).Store(canary)
	}
}

// intact reports whether all canaries are intact. If they are, data that was read earlier is as
// trustworthy as the worker's code. If not, the segment has been overwritten, and nothing in it can
// be trusted.
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
