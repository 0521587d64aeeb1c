package xsync

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
)

// A Barrier lets a number of parties wait for each other. One word counts the parties that have
// arrived, together with the phase in which they arrived. Another word, the state, contains the
// current phase, whether it is broken, and how earlier phases ended. Both words change in single
// atomic steps, without a lock, so a process waits only for the parties. Each process has a word
// with the phase in which its parties wait; the death of the process breaks that phase.
type Barrier struct {
	object
	queue   park.WaitQueue
	parties *atomic.Uint64
	state   *atomic.Uint64
	count   *atomic.Uint64
	words   []atomic.Uint64
}

// The state contains two flags, a history, and the number of the phase, which wraps around. The
// history has one bit for each of the last phases, the latest in the lowest bit. A bit is set if a
// reset ended the phase.
const (
	broken   = 1 << 0
	complete = 1 << 1 // all parties have arrived, the action is under way

	historyShift = 2
	historyBits  = 31
	historyMask  = 1<<historyBits - 1
	phaseShift   = historyShift + historyBits
	phaseBits    = 31
	phaseMask    = 1<<phaseBits - 1
)

// The count contains the number of parties that have arrived and, in the bits above it, the number
// of the phase.
const (
	countShift = 31
	countBits  = 1<<countShift - 1
)

// phaseOf returns the number of the phase in a state.
func phaseOf(state uint64) uint64 { return state >> phaseShift & phaseMask }

// phases returns the number of phases from one phase to another.
func phases(from, to uint64) uint64 { return (to - from) & phaseMask }

// next returns the state at the start of the phase that follows the phase of s.
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
		return 0 // the count belongs to an earlier phase
	}
	return count & countBits
}

// NewBarrier creates a Barrier for n parties in m, which must have Large bytes.
func NewBarrier(m Memory, n int) *Barrier {
	own(m.Bytes, 0).Store(uint64(n))
	birth(m, 0)
	return OpenBarrier(m)
}

// OpenBarrier opens the Barrier that already exists in m.
func OpenBarrier(m Memory) *Barrier {
	b := &Barrier{parties: own(m.Bytes, 0), state: own(m.Bytes, 1), count: own(m.Bytes, 2), words: bySlot(m.Bytes)}
	b.init(m)
	b.waitQueue(&b.queue, m, 0, true)
	return b
}

// Close closes the Barrier, for all processes if this one owns it.
func (b *Barrier) Close(owned bool) { b.close(owned, &b.queue) }

// open returns ErrClosed if the Barrier is closed.
func (b *Barrier) open() error {
	if !b.alive(b.word.Load()) {
		return errs.ErrClosed
	}
	return nil
}

// Parties returns the number of parties.
func (b *Barrier) Parties() int { return int(b.parties.Load()) }

// Waiting returns how many parties have arrived in the current phase.
func (b *Barrier) Waiting() (int, error) {
	if err := b.open(); err != nil {
		return 0, err
	}
	return int(arrivedIn(phaseOf(b.state.Load()), b.count.Load())), nil
}

// Wait waits until all parties have arrived, and returns a different index to each party, and 0 to
// the last one to arrive. The last party calls action before any other party continues. If a
// party's context ends or action fails, the barrier breaks: the party in which that happened gets
// the error, and the others get ErrBroken.
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
		case at&complete != 0: // the previous phase is not over yet
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

// arrive counts a party and returns the state in which the party arrived. If all parties of the
// phase have arrived but the phase has not ended yet, arrive does not count the party and returns a
// state with the flag complete.
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
		// note comes before the count, so that the death of a counted party is noticed. If the
		// phase has ended by now, the step below fails or counts in the old phase, which does no
		// harm.
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

// note records that this process has a party in a phase, unless it already has one in a later
// phase.
func (b *Barrier) note(phase uint64) {
	mine := &b.words[b.me]
	for range tries {
		w := mine.Load()
		if w != 0 && phases(phase, w-1) < 1<<(phaseBits-1) || mine.CompareAndSwap(w, phase+1) {
			return
		}
	}
}

// await waits for the end of a phase and returns its outcome.
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

// outcome returns how a phase ended. If the phase ended so long ago, while this process was
// stopped, that the history no longer has a bit for it, the outcome is ErrBroken.
func (b *Barrier) outcome(at uint64) error {
	b.edge.acquire()
	s := b.state.Load()
	ago := phases(phaseOf(at), phaseOf(s))
	if ago == 0 || ago > historyBits || s>>historyShift>>(ago-1)&1 != 0 {
		return errs.ErrBroken
	}
	return nil
}

// breakPhase breaks a phase unless the phase has ended, in which case it returns false. A phase
// that was already broken counts as not ended.
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

// Reset makes the barrier usable again. Waiting parties get ErrBroken. Reset does not block.
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

// Broken reports whether the barrier is broken.
func (b *Barrier) Broken() (bool, error) {
	if err := b.open(); err != nil {
		return false, err
	}
	return b.state.Load()&broken != 0, nil
}

// reapBarrier breaks the phase in which the dead process had a party.
func reapBarrier(mem []byte, slot uint64) {
	if at := bySlot(mem)[slot].Swap(0); at != 0 {
		breakPhase(own(mem, 1), at-1)
	}
}
