package xsync

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/go-multiprocessing/mp/internal/park"
)

// A Barrier lets a number of parties wait for each other. Who arrives is counted under
// a Mutex, the object's word; a state beside it, changed by one step each, says
// which phase it is and whether it is broken. Each process has a word with the phase
// in which parties of it wait, which breaks that when it dies.
type Barrier struct {
	lock    Mutex
	queue   park.Site
	parties *atomic.Uint64
	state   *atomic.Uint64
	count   *atomic.Uint64
	resets  *atomic.Uint64 // bit n%64: phase n was ended by a reset
	words   []atomic.Uint64
}

// The state: the phase and these bits.
const (
	broken   = 1 << 0
	complete = 1 << 1 // all have arrived, the action is under way
	phase    = 1 << 2
)

// NewBarrier makes a Barrier in Large bytes, for n parties.
func NewBarrier(m Memory, n int) *Barrier {
	own(m.Bytes, 0).Store(uint64(n))
	birth(m, 0)
	return OpenBarrier(m)
}

// OpenBarrier returns the Barrier that is there already.
func OpenBarrier(m Memory) *Barrier {
	b := &Barrier{parties: own(m.Bytes, 0), state: own(m.Bytes, 1), count: own(m.Bytes, 2), resets: own(m.Bytes, 3), words: bySlot(m.Bytes)}
	b.lock.init(m)
	b.lock.site(&b.lock.queue, m, 0, false)
	b.lock.site(&b.queue, m, 1, true)
	return b
}

// Close makes it closed: for everybody if this process owns it.
func (b *Barrier) Close(owned bool) { b.lock.close(owned, &b.lock.queue, &b.queue) }

// Parties is the number of parties.
func (b *Barrier) Parties() int { return int(b.parties.Load()) }

// Waiting is how many have arrived in this phase.
func (b *Barrier) Waiting() (int, error) {
	if !b.lock.alive(b.lock.word.Load()) {
		return 0, ErrClosed
	}
	return int(b.count.Load()), nil
}

// Wait waits for all parties and returns a number of its own to each; 0 to the one that
// came last, which calls action before any goes on. When the context of one ends, or
// action fails, the barrier is broken for all.
func (b *Barrier) Wait(ctx context.Context, action func() error) (index int, err error) {
	if err := ctx.Err(); err != nil {
		_ = b.Abort()
		return 0, err
	}
	for {
		at, index, err := b.arrive(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			_ = b.Abort()
			return 0, err
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

// arrive counts a party, unless those before are still about to leave.
func (b *Barrier) arrive(ctx context.Context) (at uint64, index int, err error) {
	if err := b.lock.Lock(ctx); err != nil {
		return 0, 0, err
	}
	defer func() { _ = b.lock.Unlock() }()
	at = b.state.Load()
	switch {
	case at&broken != 0:
		return at, 0, ErrBroken
	case at&complete != 0:
		return at, 0, nil
	}
	b.note(at)
	n := b.count.Add(1)
	if n == b.parties.Load() && !b.state.CompareAndSwap(at, at|complete) {
		return at, 0, ErrBroken
	}
	return at, int(b.parties.Load() - n), nil
}

// note says that this process has a party in a phase.
func (b *Barrier) note(at uint64) { b.words[b.lock.me].Store(at/phase + 1) }

// await waits for the end of a phase.
func (b *Barrier) await(ctx context.Context, at uint64) error {
	ended, err := wait(ctx, &b.queue, func(bool) (bool, error) {
		if !b.lock.alive(b.lock.word.Load()) {
			return false, ErrClosed
		}
		s := b.state.Load()
		return s/phase != at/phase || s&broken != 0, nil
	})
	if ended && b.breakPhase(at) {
		return err
	}
	if err != nil && !ended {
		return err
	}
	return b.outcome(at)
}

// outcome is how a phase has ended.
func (b *Barrier) outcome(at uint64) error {
	b.lock.edge.acquire()
	s := b.state.Load()
	if s/phase == at/phase || b.resets.Load()>>(at/phase%64)&1 != 0 {
		return ErrBroken
	}
	return nil
}

// breakPhase breaks a phase and reports whether it had not ended before.
func (b *Barrier) breakPhase(at uint64) bool {
	defer b.queue.WakeAll()
	for {
		s := b.state.Load()
		if s/phase != at/phase || s&broken != 0 {
			return s/phase == at/phase
		}
		if b.state.CompareAndSwap(s, s|broken) {
			return true
		}
	}
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
	b.lock.edge.release()
	return b.advance(at|complete, false)
}

// advance begins the next phase: if the state is still the one given, or, as a reset,
// in any case.
func (b *Barrier) advance(at uint64, reset bool) error {
	if err := b.lock.Lock(context.Background()); err != nil {
		return err
	}
	defer func() { _ = b.lock.Unlock() }()
	if reset {
		at = b.state.Load()
	}
	bit := uint64(1) << (at / phase % 64)
	if reset {
		b.resets.Or(bit)
	} else {
		b.resets.And(^bit)
	}
	b.count.Store(0)
	for s := b.state.Load(); ; s = b.state.Load() {
		if !reset && s != at {
			return ErrBroken
		}
		if b.state.CompareAndSwap(s, (s/phase+1)*phase) {
			break
		}
	}
	b.queue.WakeAll()
	return nil
}

// Abort breaks the barrier until Reset.
func (b *Barrier) Abort() error {
	if !b.lock.alive(b.lock.word.Load()) {
		return ErrClosed
	}
	b.breakPhase(b.state.Load())
	return nil
}

// Reset lets those who wait go with ErrBroken and makes the barrier usable again.
func (b *Barrier) Reset() error { return b.advance(0, true) }

// Broken reports whether it is broken.
func (b *Barrier) Broken() (bool, error) {
	if !b.lock.alive(b.lock.word.Load()) {
		return false, ErrClosed
	}
	return b.state.Load()&broken != 0, nil
}

func buryBarrier(mem []byte, slot uint64) {
	state := own(mem, 1)
	at := bySlot(mem)[slot].Swap(0)
	inside := false
	change(mem, func(w uint64) uint64 {
		if inside = w&slots == slot; inside {
			w &^= slots
		}
		return w &^ starving
	})
	for s := state.Load(); inside || at != 0 && s/phase+1 == at; s = state.Load() {
		if state.CompareAndSwap(s, s|broken) {
			return
		}
	}
}
