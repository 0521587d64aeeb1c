package park

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/go-multiprocessing/mp/internal/shm"
)

// MaxProcs bounds the slots. Each process has a slot from 1 to MaxProcs-1 for as long as it lives.
const MaxProcs = 1024

// The segment contains a mailbox for each slot:
//
//	state    what the leader does, see below; a futex
//	summary  which words of buckets are not zero; the last bit: look everywhere
//	buckets  one bit for each; the address of a word determines its bucket
const (
	mailboxSize   = 256
	mailboxesSize = MaxProcs * mailboxSize

	offState   = 0
	offSummary = 64
	offBuckets = 128

	bucketWords = 16
	// Buckets is the number of buckets.
	Buckets = 64 * bucketWords

	everywhere = 1 << 63
)

// States of a mailbox's leader.
const (
	awake  = iota // no goroutine sleeps, nothing is new
	news          // something has been noted since
	asleep        // the leader sleeps or is about to
)

// Mailboxes is the segment with the mailboxes of all processes, which every process can write, and
// the roster.
type Mailboxes struct {
	roster
	mem []byte
	fd  int
}

// NewMailboxes creates the segments. The root process calls it, and assigns the slots.
func NewMailboxes() (*Mailboxes, error) {
	used, err := newRoster()
	if err != nil {
		return nil, err
	}
	fd, mem, err := shm.New("mp-mailboxes", mailboxesSize)
	if err != nil {
		used.close()
		return nil, err
	}
	_ = shm.Unmap(mem)
	return newMailboxes(fd, used)
}

// OpenMailboxes maps the segments of the root process. It takes ownership of the descriptors, even
// on error.
func OpenMailboxes(fd, rosterFD int) (*Mailboxes, error) {
	used, err := openRoster(rosterFD)
	if err != nil {
		shm.CloseFD(fd)
		return nil, err
	}
	return newMailboxes(fd, used)
}

// mailboxRange is the address range of Mailboxes. Mailboxes are never unmapped, because a context
// that ends late may still poke its mailbox.
var mailboxRange = shm.Range{Size: mailboxesSize}

func newMailboxes(fd int, used roster) (*Mailboxes, error) {
	mem, err := mailboxRange.Map(fd)
	if err != nil {
		shm.CloseFD(fd)
		used.close()
		return nil, err
	}
	return &Mailboxes{roster: used, mem: mem, fd: fd}, nil
}

// FD returns the segment's descriptor.
func (m *Mailboxes) FD() int { return m.fd }

// Close releases the segments. No goroutine may be waiting.
func (m *Mailboxes) Close() error {
	shm.CloseFD(m.fd)
	m.close()
	return mailboxRange.Retire(m.mem)
}

// Occupy marks the slot as in use, and empties its mailbox. Only the root process, which created
// the segments, may call Occupy and Vacate.
func (m *Mailboxes) Occupy(slot int) {
	clear(m.mem[slot*mailboxSize:][:mailboxSize])
	m.used[slot/64].Or(1 << (slot % 64))
}

// Vacate marks the slot as free.
func (m *Mailboxes) Vacate(slot int) { m.used[slot/64].And(^uint64(1 << (slot % 64))) }

// A mailbox is the mailbox of one slot.
type mailbox struct {
	state   *atomic.Uint32
	summary *atomic.Uint64
	buckets []atomic.Uint64
}

func (m *Mailboxes) mailbox(slot int) mailbox {
	at := slot * mailboxSize
	return mailbox{shm.Word32(m.mem, at+offState), shm.Word64(m.mem, at+offSummary), shm.Words(m.mem, at+offBuckets, bucketWords)}
}

// note records where to look and wakes the leader.
func (b mailbox) note(bucket uint32) {
	b.buckets[bucket/64].Or(1 << (bucket % 64))
	b.summary.Or(1 << (bucket / 64))
	b.poke()
}

// poke wakes the leader.
func (b mailbox) poke() {
	if b.state.Swap(news) == asleep {
		futexWake(b.state)
	}
}

// ring notes a bucket for all processes that share a bit of a mask.
func (m *Mailboxes) ring(bit int, bucket uint32) {
	for w := range m.used {
		if m.used[w].Load()>>bit&1 != 0 {
			m.mailbox(w*64 + bit).note(bucket)
		}
	}
}

// RingAll makes every process look at everything that it waits for. It wakes the leaders whatever
// their mailboxes say, because a process may have recorded news and died before it woke the leader.
func (m *Mailboxes) RingAll() {
	for w := range m.used {
		for set := m.used[w].Load(); set != 0; set &= set - 1 {
			b := m.mailbox(w*64 + bits.TrailingZeros64(set))
			b.summary.Or(everywhere)
			b.state.Store(news)
			futexWake(b.state)
		}
	}
}

// wake records that the leader is about to look.
func (b mailbox) wake() { b.state.Store(awake) }

// sleep returns what has been noted. If nothing has been noted and no poke has come since wake, it
// waits for either, up to limit.
func (b mailbox) sleep(limit time.Duration) (noted notes) {
	if noted = b.take(); noted.any {
		return noted
	}
	if b.state.CompareAndSwap(awake, asleep) {
		futexWait(b.state, asleep, limit)
		noted = b.take()
	}
	return noted
}

// notes is the content of a mailbox.
type notes struct {
	any        bool
	everywhere bool
	buckets    [bucketWords]uint64
}

// take empties the mailbox and returns its content.
func (b mailbox) take() (n notes) {
	summary := b.summary.Swap(0)
	n.any, n.everywhere = summary != 0, summary&everywhere != 0
	for s := summary &^ everywhere; s != 0; s &= s - 1 {
		if w := bits.TrailingZeros64(s); w < bucketWords {
			n.buckets[w] = b.buckets[w].Swap(0)
		}
	}
	return n
}
