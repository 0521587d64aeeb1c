package xsync

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A Barrier lets a number of parties wait for each other. One word counts the parties that have arrived, with
// the phase in which they arrived. Another word, the state, says which phase it is, whether that is broken, and
// how earlier phases have ended. Both change by single atomic steps and without a lock, so a process waits
// for the parties and for nothing else. Each process has a word with the phase in which its parties wait; its
// death breaks that phase.
type Barrier struct {
	object
	queue   park.Site
	parties *atomic.Uint64
	state   *atomic.Uint64
	count   *atomic.Uint64
	words   []atomic.Uint64
}

// The state: two flags; a history, which has one bit for each of the last phases, the latest lowest, that says
// whether a reset ended it; and the number of the phase, which wraps around.
const (
	broken   = 1 << 0
	complete = 1 << 1 // all have arrived, the action is under way

	historyShift = 2
	historyBits  = 31
	historyMask  = 1<<historyBits - 1
	phaseShift   = historyShift + historyBits
	phaseBits    = 31
	phaseMask    = 1<<phaseBits - 1
)

// The count: how many have arrived, and above that the number of the phase.
const (
	countShift = 31
	countBits  = 1<<countShift - 1
)

func phaseOf(state uint64) uint64 { return state >> phaseShift & phaseMask }

// phases returns how many phases lie between two phases.
func phases(from, to uint64) uint64 { return (to - from) & phaseMask }

// next returns the state at the start of the phase after that of s.
func next(s uint64, reset bool) uint64 {
	history := s >> historyShift & historyMask << 1 & historyMask
	if reset {
		history |= 1
	}
	return (phaseOf(s)+1)&phaseMask<<phaseShift | history<<historyShift
}

// arrivedIn returns how many parties have arrived in a phase, according to count.
func arrivedIn(phase, count uint64) uint64 {
	if count>>countShift != phase {
		return 0 // the count is an earlier phase's
	}
	return count & countBits
}

// NewBarrier makes a Barrier in Large bytes, for n parties.
func NewBarrier(m Memory, n int) *Barrier {
	own(m.Bytes, 0).Store(uint64(n))
	birth(m, 0)
	return OpenBarrier(m)
}

// OpenBarrier returns the Barrier that is there already.
func OpenBarrier(m Memory) *Barrier {
	b := &Barrier{parties: own(m.Bytes, 0), state: own(m.Bytes, 1), count: own(m.Bytes, 2), words: bySlot(m.Bytes)}
	b.init(m)
	b.site(&b.queue, m, 0, true)
	return b
}

// Close makes it closed: for everybody if this process owns it.
func (b *Barrier) Close(owned bool) { b.close(owned, &b.queue) }

// open returns ErrClosed if it is closed.
func (b *Barrier) open() error {
	if !b.alive(b.word.Load()) {
		return errs.ErrClosed
	}
	return nil
}

// Parties is the number of parties.
func (b *Barrier) Parties() int { return int(b.parties.Load()) }

// Waiting is how many have arrived in this phase.
func (b *Barrier) Waiting() (int, error) {
	if err := b.open(); err != nil {
		return 0, err
	}
	return int(arrivedIn(phaseOf(b.state.Load()), b.count.Load())), nil
}

// Wait waits for all parties and returns a number of its own to each; 0 to the one that
// came last, which calls action before any goes on. When the context of one ends, or
// action fails, the barrier is broken for all.
func (b *Barrier) Wait(ctx context.Context, action func() error) (index int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			_ = b.Abort()
			return 0, err
		}
		at, index, err := b.arrive()
		switch {
		case err != nil:
			return 0, err
		case at&complete != 0: // of the parties before
			err = b.await(ctx, at)
		case index > 0:
			return index, b.await(ctx, at)
		default:
			return 0, b.act(at, action)
		}
		if err != nil {
			return 0, err
		}
	}
}

// arrive counts a party and returns the state at its arrival. If the parties of the phase before are still
// about to leave, it does not count the party and returns a state with the complete flag.
func (b *Barrier) arrive() (at uint64, index int, err error) {
	for range tries {
		if err := b.open(); err != nil {
			return 0, 0, err
		}
		at = b.state.Load()
		if at&broken != 0 {
			return at, 0, errs.ErrBroken
		}
		count, parties := b.count.Load(), b.parties.Load()
		n := arrivedIn(phaseOf(at), count)
		if at&complete != 0 || n >= parties { // the last party is about to set complete
			return at | complete, 0, nil
		}
		// Before the count, so that the death of a counted party is noticed. If the phase is over by now, the
		// step below counts in the old phase, which does no harm, or fails.
		b.note(phaseOf(at))
		b.edge.release()
		if !b.count.CompareAndSwap(count, phaseOf(at)<<countShift|(n+1)) {
			continue
		}
		if n+1 < parties {
			return at, int(parties - n - 1), nil
		}
		if !b.state.CompareAndSwap(at, at|complete) {
			return at, 0, errs.ErrBroken
		}
		b.edge.acquire()
		return at, 0, nil
	}
	return 0, 0, errs.ErrCorrupt
}

// note says that this process has a party in a phase, unless it has one in a later phase already.
func (b *Barrier) note(phase uint64) {
	mine := &b.words[b.me]
	for range tries {
		w := mine.Load()
		if w != 0 && phases(phase, w-1) < 1<<(phaseBits-1) || mine.CompareAndSwap(w, phase+1) {
			return
		}
	}
}

// await waits for the end of a phase.
func (b *Barrier) await(ctx context.Context, at uint64) error {
	ended, err := wait(ctx, &b.queue, func(bool) (bool, error) {
		if err := b.open(); err != nil {
			return false, err
		}
		s := b.state.Load()
		return phaseOf(s) != phaseOf(at) || s&broken != 0, nil
	})
	if ended && b.breakPhase(at) {
		return err
	}
	if err != nil && !ended {
		return err
	}
	return b.outcome(at)
}

// outcome returns how a phase has ended. For a phase that ended too long ago, while this process was stopped,
// the history has no bit left, and the outcome is ErrBroken.
func (b *Barrier) outcome(at uint64) error {
	b.edge.acquire()
	s := b.state.Load()
	ago := phases(phaseOf(at), phaseOf(s))
	if ago == 0 || ago > historyBits || s>>historyShift>>(ago-1)&1 != 0 {
		return errs.ErrBroken
	}
	return nil
}

// breakPhase breaks a phase and reports whether it had not ended before.
func (b *Barrier) breakPhase(at uint64) bool {
	defer b.queue.WakeAll()
	return breakPhase(b.state, phaseOf(at))
}

func breakPhase(state *atomic.Uint64, phase uint64) bool {
	for range tries {
		s := state.Load()
		if phaseOf(s) != phase || s&broken != 0 {
			return phaseOf(s) == phase
		}
		if state.CompareAndSwap(s, s|broken) {
			return true
		}
	}
	return true
}

// act calls the action and ends the phase.
func (b *Barrier) act(at uint64, action func() error) (err error) {
	acted := false
	defer func() {
		if !acted {
			b.breakPhase(at)
		}
	}()
	if action != nil {
		if err := action(); err != nil {
			return fmt.Errorf("mp: the barrier's action: %w", err)
		}
	}
	acted = true
	b.edge.release()
	if err := b.open(); err != nil {
		return err
	}
	if !b.state.CompareAndSwap(at|complete, next(at, false)) {
		return errs.ErrBroken
	}
	b.queue.WakeAll()
	return nil
}

// Abort breaks the barrier until Reset.
func (b *Barrier) Abort() error {
	if err := b.open(); err != nil {
		return err
	}
	b.breakPhase(b.state.Load())
	return nil
}

// Reset makes the barrier usable again; parties that wait get ErrBroken. It does not block.
func (b *Barrier) Reset() error {
	for range tries {
		if err := b.open(); err != nil {
			return err
		}
		if s := b.state.Load(); b.state.CompareAndSwap(s, next(s, true)) {
			b.queue.WakeAll()
			return nil
		}
	}
	return errs.ErrCorrupt
}

// Broken reports whether it is broken.
func (b *Barrier) Broken() (bool, error) {
	if err := b.open(); err != nil {
		return false, err
	}
	return b.state.Load()&broken != 0, nil
}

// buryBarrier breaks the phase in which the dead process had a party.
func buryBarrier(mem []byte, slot uint64) {
	if at := bySlot(mem)[slot].Swap(0); at != 0 {
		breakPhase(own(mem, 1), at-1)
	}
}
