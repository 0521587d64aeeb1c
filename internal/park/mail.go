package park

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// MaxProcs bounds the slots: a process has one of 1 to MaxProcs-1, as long as it
// lives.
const MaxProcs = 1024

// The segment: a bitmap of the slots in use, then a mailbox for each slot.
//
//	state    what the leader does, see below; a futex
//	summary  which words of buckets are not zero; the last bit: look everywhere
//	buckets  one bit for each; a word that is waited for has a bucket by its place
const (
	boxesAt  = 4096
	boxSize  = 256
	mailSize = boxesAt + MaxProcs*boxSize

	offState   = 0
	offSummary = 64
	offBuckets = 128

	bucketWords = 16
	// Buckets is the number of buckets.
	Buckets = 64 * bucketWords

	everywhere = 1 << 63
)

// States of a mailbox.
const (
	awake  = iota // nobody sleeps, nothing new
	news          // something has been noted since
	asleep        // the leader sleeps, or is about to
)

// Mail is the segment with the mailboxes of all processes.
type Mail struct {
	mem  []byte
	used []atomic.Uint64
	fd   int
}

// NewMail makes the segment. The root process does that, and hands out the slots.
func NewMail() (*Mail, error) {
	fd, mem, err := shm.New("mp-mail", mailSize)
	if err != nil {
		return nil, err
	}
	_ = shm.Unmap(mem)
	return newMail(fd)
}

// OpenMail maps the segment of the root process; it takes the descriptor over.
func OpenMail(fd int) (*Mail, error) { return newMail(fd) }

// mails are never unmapped: a context that ends just then pokes its mailbox late.
var mails = shm.Range{Size: mailSize}

func newMail(fd int) (*Mail, error) {
	mem, err := mails.Map(fd)
	if err != nil {
		shm.CloseFD(fd)
		return nil, err
	}
	return &Mail{mem: mem, fd: fd, used: shm.Words(mem, 0, MaxProcs/64)}, nil
}

// FD is the segment's descriptor.
func (m *Mail) FD() int { return m.fd }

// Close lets go of the segment, at which nobody may wait any more.
func (m *Mail) Close() error {
	shm.CloseFD(m.fd)
	return mails.Retire(m.mem)
}

// Occupy says that slot is in use from now on; Vacate that it is not any more.
func (m *Mail) Occupy(slot int) {
	clear(m.mem[boxesAt+slot*boxSize:][:boxSize])
	m.used[slot/64].Or(1 << (slot % 64))
}

// Vacate is the counterpart of Occupy.
func (m *Mail) Vacate(slot int) { m.used[slot/64].And(^uint64(1 << (slot % 64))) }

// box is a mailbox.
type box struct {
	state   *atomic.Uint32
	summary *atomic.Uint64
	buckets []atomic.Uint64
}

func (m *Mail) box(slot int) box {
	at := boxesAt + slot*boxSize
	return box{shm.Word32(m.mem, at+offState), shm.Word64(m.mem, at+offSummary), shm.Words(m.mem, at+offBuckets, bucketWords)}
}

// note tells where to look and wakes the leader.
func (b box) note(bucket uint32) {
	b.buckets[bucket/64].Or(1 << (bucket % 64))
	b.summary.Or(1 << (bucket / 64))
	b.poke()
}

// poke wakes the leader.
func (b box) poke() {
	if b.state.Swap(news) == asleep {
		futexWake(b.state)
	}
}

// ring notes a bucket for all processes of a bit of a mask.
func (m *Mail) ring(bit int, bucket uint32) {
	for w := range m.used {
		if m.used[w].Load()>>bit&1 != 0 {
			m.box(w*64 + bit).note(bucket)
		}
	}
}

// RingAll makes every process look at everything that it waits for. It wakes the
// leaders whatever their mailboxes say: one who has died may have said that there is
// news, and not lived to wake the leader.
func (m *Mail) RingAll() {
	for w := range m.used {
		for set := m.used[w].Load(); set != 0; set &= set - 1 {
			b := m.box(w*64 + bits.TrailingZeros64(set))
			b.summary.Or(everywhere)
			b.state.Store(news)
			futexWake(b.state)
		}
	}
}

// wake says that the leader is about to look.
func (b box) wake() { b.state.Store(awake) }

// sleep returns what has been noted, and waits for that or a poke while there has been
// neither since wake, but not longer than limit.
func (b box) sleep(limit time.Duration) (noted notes) {
	if noted = b.take(); noted.any {
		return noted
	}
	if b.state.CompareAndSwap(awake, asleep) {
		futexWait(b.state, asleep, limit)
		noted = b.take()
	}
	return noted
}

// notes are the content of a mailbox.
type notes struct {
	any        bool
	everywhere bool
	buckets    [bucketWords]uint64
}

func (b box) take() (n notes) {
	summary := b.summary.Swap(0)
	n.any, n.everywhere = summary != 0, summary&everywhere != 0
	for s := summary &^ everywhere; s != 0; s &= s - 1 {
		if w := bits.TrailingZeros64(s); w < bucketWords {
			n.buckets[w] = b.buckets[w].Swap(0)
		}
	}
	return n
}
