package ipc

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// block is memory for slabs and messages: a segment, and a head that says which process has the
// segment.
type block struct {
	head, data *objects.Object
	held       *xsync.Ownership
	own        bool // whether this process made the block, and uses it again
	uses       int  // how often this process has used the block
	seen       int  // uses at the last sweep

	look    sync.Mutex  // guards the next three fields; its holder never blocks
	claims  int         // how often this process has claimed the block
	back    atomic.Bool // whether it has been free since the last claim; read without the lock
	dropped bool

	mu        sync.Mutex
	carriedIn map[uint64]bool // segments of the objects whose messages may contain the block
}

// carryIn keeps the block alive, whichever process dies, for as long as messages in an object may
// contain the block, which is until that object ends. Only the first call for an object costs
// something, so a flow of blocks is cheap.
func (b *block) carryIn(in *objects.Object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	segment := in.Name().Segment
	if b.carriedIn[segment] {
		return nil
	}
	if err := in.CarryOwned(b.head, b.data); err != nil {
		return err
	}
	if b.carriedIn == nil {
		b.carriedIn = map[uint64]bool{}
	}
	b.carriedIn[segment] = true
	return nil
}

// claim takes a block that this process made, if the block is free. The block is stolen if it was
// free after the last claim and no longer is. Since only this process claims the block, another
// process must have written to the head.
func (b *block) claim() (epoch uint32, ok, stolen bool) {
	if !b.held.IsFree() {
		return 0, false, b.back.Load()
	}
	b.look.Lock()
	defer b.look.Unlock()
	if epoch, ok = b.held.Claim(); ok {
		b.claims++
		b.back.Store(false)
	}
	return epoch, ok, !ok && b.back.Load()
}

// returned reports whether the block has been free since the claim with the given number. It asks
// no other process.
func (b *block) returned(claims int) bool {
	b.look.Lock()
	defer b.look.Unlock()
	if b.dropped || b.claims != claims {
		return true
	}
	if b.held.IsFree() {
		b.back.Store(true)
	}
	return b.back.Load()
}

// blocks are the blocks that this process knows.
var blocks = blockStore{known: map[objectKey]*block{}, free: map[int][]*block{}}

type blockStore struct {
	mu    sync.Mutex
	known map[objectKey]*block // by their heads
	free  map[int][]*block     // the blocks made here, by size; other processes may have them
	timer *time.Timer
}

const (
	smallestBlock = 64 << 10
	// unused is the minimum time that a block waits for its next use before it is given back. The
	// maximum is twice as long.
	unused = 500 * time.Millisecond

	slabSize = ticketSize + 16
)

// get returns a free block of at least size bytes. If there is none, it makes one.
func (s *blockStore) get(size int) (*holding, error) {
	size = max(smallestBlock, 1<<bits.Len(uint(size-1)))
	s.mu.Lock()
	defer s.mu.Unlock()

	for i := 0; i < len(s.free[size]); {
		b := s.free[size][i]
		epoch, ok, stolen := b.claim()
		switch {
		case ok:
			return s.hold(b, epoch), nil
		case stolen:
			s.drop(b)
		default:
			i++
		}
	}

	b, err := newBlock(size)
	if err != nil {
		return nil, err
	}
	s.known[keyOf(b.head.Name())] = b
	s.free[size] = append(s.free[size], b)
	return s.hold(b, 0), nil
}

// hold notes a use of a block. The caller holds the lock.
func (s *blockStore) hold(b *block, epoch uint32) *holding {
	b.uses++
	s.tick()
	return &holding{block: b, epoch: epoch, claims: b.claims}
}

func newBlock(size int) (*block, error) {
	head, err := objects.New(xsync.KindOwnership, xsync.Small, false)
	if err != nil {
		return nil, err
	}
	data, err := objects.New(xsync.KindData, size, true)
	if err != nil {
		head.Close()
		return nil, err
	}

	b := &block{head: head, data: data, held: xsync.NewOwnership(head.Memory()), own: true}
	t := data.Name()
	for i, n := range b.held.Notes() {
		n.Store([]uint64{t.Segment, uint64(size), uint64(t.Gen)}[i])
	}

	head.Ready()
	data.Ready()
	return b, nil
}

// arrive takes the block that a ticket names.
func (s *blockStore) arrive(ticket []byte) (*holding, error) {
	head, epoch, err := parseTicket(ticket)
	if err != nil {
		return nil, err
	}
	return s.arriveAt(head, epoch)
}

// settle makes a block that this process has sent in the given epoch stay on its way even if this
// process dies.
func (s *blockStore) settle(head objects.Token, epoch uint32) {
	s.mu.Lock()
	b := s.known[keyOf(head)]
	s.mu.Unlock()
	if b != nil {
		b.held.Settle(epoch)
	}
}

func parseTicket(ticket []byte) (head objects.Token, epoch uint32, err error) {
	head, rest, err := objects.ParseToken(ticket, xsync.KindOwnership)
	if err == nil {
		epoch = binary.LittleEndian.Uint32(rest[2:])
	}
	return head, epoch, err
}

// know attaches the block with the given head, if that block exists.
func (s *blockStore) know(head objects.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.attach(head); err == nil {
		s.tick()
	}
}

// arriveAt takes the block with the given head if the block is on its way in the given epoch.
func (s *blockStore) arriveAt(head objects.Token, epoch uint32) (*holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.attach(head)
	if err != nil {
		return nil, err
	}
	if !b.held.Arrive(epoch) {
		return nil, ErrMoved
	}
	return s.hold(b, epoch), nil
}

// attach returns the block with the given head. The caller holds the lock.
func (s *blockStore) attach(head objects.Token) (*block, error) {
	b := s.known[keyOf(head)]
	if b != nil {
		if !b.data.Gone() {
			return b, nil
		}
		s.drop(b)
	}

	h, err := objects.Attach(head)
	if err != nil {
		return nil, err
	}

	b = &block{head: h, held: xsync.OpenOwnership(h.Memory())}
	notes := b.held.Notes()
	b.data, err = objects.Attach(objects.Token{Segment: notes[0].Load(), Size: notes[1].Load(), Gen: uint32(notes[2].Load()), Kind: xsync.KindData})
	if err == nil && (b.data.Shrinkable() || b.data.Small()) {
		b.data.Close()
		err = errNoSlab
	}
	if err != nil {
		h.Close()
		return nil, err
	}

	s.known[keyOf(head)] = b
	return b, nil
}

// drop forgets a block. The caller holds the lock.
func (s *blockStore) drop(b *block) {
	delete(s.known, keyOf(b.head.Name()))
	if b.own {
		size := len(b.data.Data())
		s.free[size] = slices.DeleteFunc(s.free[size], func(other *block) bool { return other == b })
	}
	b.look.Lock()
	b.dropped = true
	b.look.Unlock()
	b.held.Close(b.head.Owned())
	b.head.Close()
	b.data.Close()
}

// tick schedules a search for unused blocks. The caller holds the lock.
func (s *blockStore) tick() {
	if s.timer == nil {
		s.timer = time.AfterFunc(unused, s.sweep)
	}
}

// sweep gives back the blocks that are free and that this process has not used since the last
// sweep.
func (s *blockStore) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	for _, b := range s.known {
		idle := b.seen == b.uses
		b.seen = b.uses
		if idle && (!b.own && !b.held.Mine() && !b.away() || b.own && s.claimed(b)) {
			s.drop(b)
		}
	}
	if len(s.known) > 0 {
		s.tick()
	}
}

// away reports whether the block is on its way between processes. A block that was sent from here
// may come back.
func (b *block) away() bool { return b.held.Moving() && !b.data.Gone() }

// claimed claims a block that this process made, if the block is free, and reports whether it did.
// It also returns true for a stolen block, because that must be given back too.
func (s *blockStore) claimed(b *block) bool {
	_, ok, stolen := b.claim()
	return ok || stolen
}

// giveUp gives back a block that this process made and that another process has had since a claim
// and has not freed. After that, no process can attach the block, but it stays mapped in processes
// that have mapped it.
func (s *blockStore) giveUp(b *block, claims int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !b.returned(claims) {
		s.drop(b)
	}
}

// has reports whether this process has had the block with the given head since the given epoch.
func (s *blockStore) has(head objects.Token, epoch uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.known[keyOf(head)]
	return b != nil && b.held.Has(epoch)
}

// loseBlock frees the block with the given head if the block is still on its way in the given
// epoch, or if it arrived here in that epoch with a value that could not be decoded.
func loseBlock(head objects.Token, epoch uint32) error {
	h, err := objects.Attach(head)
	if err != nil {
		return err
	}
	defer h.Close()
	held := xsync.OpenOwnership(h.Memory())
	held.Lose(epoch)
	held.Free(epoch)
	return nil
}

// Pauses between attempts to free a block while the system has no memory or descriptor for the
// block's head.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
)

// loseSoon is like loseBlock, but tries again later if the system currently has no memory or
// descriptor for the head, because the sender of the lost message is waiting for the block.
func loseSoon(head objects.Token, epoch uint32, pause time.Duration) {
	var number syscall.Errno
	if err := loseBlock(head, epoch); errors.As(err, &number) && pause <= lastPause {
		time.AfterFunc(pause, func() { loseSoon(head, epoch, 2*pause) })
	}
}
