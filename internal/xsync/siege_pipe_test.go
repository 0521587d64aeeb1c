//go:build linux && amd64

package xsync_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// In the siege of a pipe both ends move from process to process all the time. A process that has an
// end sends and receives a little and passes the end on. When a process dies with an end, the pipe
// is over, and the next one follows.
//
// One counter for each end contains its epoch, and the slot of the process that has claimed the
// end, or 0. Another counter contains the slot of the process that has the end. The processes that
// have the ends count what they send and receive.
const (
	endEpochAt = 430 // and the next: 0 if it is closed
	endHeldAt  = 432
	endSentAt  = 434
	endGotAt   = 436
	pipeRooms  = 1000
	slotShift  = 32
	noEpoch    = 0
)

func (w *world) siegePipeMemory(table *park.WaitTable, n int) (xsync.Memory, []byte) {
	m := w.memory(table, n%pipeRooms)
	m.Gen = uint32(n + 1)
	return m, w.pipeMemory(n % pipeRooms)
}

// newSiegePipe creates the n-th pipe.
func (w *world) newSiegePipe(table *park.WaitTable, n int) {
	m, data := w.siegePipeMemory(table, n)
	clear(m.Bytes[:xsync.PipeHead+2*pipeBytes])
	p := xsync.NewPipe(m, data)
	for end := range 2 {
		epoch, _ := p.Depart(end, 0, true)
		w.tally(endSentAt + end).Store(0)
		w.tally(endGotAt + end).Store(0)
		w.tally(endEpochAt + end).Store(uint64(epoch))
	}
}

func pipeKinds(w *world) map[int]xsync.Kind {
	return map[int]xsync.Kind{int(w.tally(roundAt).Load()) % pipeRooms: xsync.KindPipe}
}

// siegePipe takes an end, uses it, and passes it on.
func siegePipe(w *world, table *park.WaitTable) turn {
	var mu sync.Mutex
	opened := map[int]*xsync.Pipe{}
	open := func(n int) *xsync.Pipe {
		mu.Lock()
		defer mu.Unlock()
		if opened[n] == nil {
			clear(opened)
			opened[n] = xsync.OpenPipe(w.siegePipeMemory(table, n))
		}
		return opened[n]
	}

	return func(ctx context.Context, what int) {
		end := rand.IntN(2)
		n := int(w.tally(roundAt).Load())
		published := w.tally(endEpochAt + end)
		epoch := published.Load()
		if epoch == noEpoch || epoch>>slotShift != 0 || !published.CompareAndSwap(epoch, epoch|uint64(table.Slot())<<slotShift) {
			return
		}

		p := open(n)
		if !p.Arrive(end, uint32(epoch)) {
			w.expect(false) // no other process can have taken or closed it
			return
		}

		w.expect(w.tally(endHeldAt+end).Swap(uint64(table.Slot())) == 0)
		w.enter(table)
		alive := w.useEnd(ctx, p, end, what)
		w.exit(table)
		w.tally(endHeldAt + end).Store(0)
		if alive {
			next, ok := p.Depart(end, uint32(epoch), true)
			w.expect(ok)
			published.Store(uint64(next))
		} else {
			p.CloseEnd(end, uint32(epoch))
			published.Store(noEpoch)
		}
	}
}

// useEnd sends one number and receives some, and reports whether the pipe is still open. Now and
// then it waits for a number.
func (w *world) useEnd(ctx context.Context, p *xsync.Pipe, end, what int) (alive bool) {
	sent, got := w.tally(endSentAt+end), w.tally(endGotAt+end)
	err := p.Sent(end).TryPut(numbered(sent.Load()+1, 8+8*rand.IntN(10)), numberedPlace, nil)
	if errors.Is(err, errs.ErrClosed) {
		return false
	}

	if err == nil {
		sent.Add(1)
	}
	w.expect(err == nil || errors.Is(err, errs.ErrFull))
	for first := true; ; first = false {
		var rec xsync.Record
		if first && what == 0 {
			rec, err = p.Received(end).Get(ctx, nil)
		} else {
			rec, err = p.Received(end).TryGet(nil)
		}
		if err != nil {
			w.expect(errors.Is(err, errs.ErrClosed) || errors.Is(err, errs.ErrEmpty) || errors.Is(err, context.Canceled))
			return !errors.Is(err, errs.ErrClosed)
		}

		_, _, err = numberOf(rec)
		w.expect(err == nil && binary.LittleEndian.Uint64(rec.Bytes) == got.Load()+1)
		got.Add(1)
	}
}

// An end that the dead process had is closed. An end that the process was about to take, or had
// sent without having recorded that, is still in transit. After that, the next pipe follows.
func afterPipe(b *battle, dead int, _ uint64) {
	w := b.w
	n := int(w.tally(roundAt).Load())
	p := xsync.OpenPipe(w.siegePipeMemory(b.root, n))
	b.reap(dead)
	var had [2]bool
	for end := range 2 {
		had[end] = w.tally(endHeldAt+end).CompareAndSwap(uint64(dead), 0)
		word := w.tally(endEpochAt + end)
		if v := word.Load(); v>>slotShift == uint64(dead) {
			epoch := uint32(v)
			before, after := p.Arrive(end, epoch), p.Arrive(end, epoch+1)
			b.seen[map[bool]string{true: "had it", false: "had it, or not yet"}[had[end]]]++
			if had[end] && before {
				b.Errorf("end %d, which the dead had, has arrived", end)
			}

			switch {
			case before:
				b.seen["not yet taken"]++
				p.CloseEnd(end, epoch)
			case after:
				b.seen["let go"]++
				p.CloseEnd(end, epoch+1)
			default:
				b.seen["closed"]++
			}

			word.Store(noEpoch)
		} else if had[end] {
			b.Errorf("end %d was held by the dead, and is on trip %d", end, v)
		}
	}

	b.goesOn(b.live, 5) // goroutines that wait for something from a closed end go on too
	over := false
	b.paused(func() {
		for end := range 2 {
			if epoch := w.tally(endEpochAt + end).Load(); epoch != noEpoch && p.Sent(0).Ended() {
				if !p.Arrive(end, uint32(epoch)) {
					b.Errorf("end %d does not arrive on trip %d", end, epoch)
				}
				p.CloseEnd(end, uint32(epoch))
				w.tally(endEpochAt + end).Store(noEpoch)
			}
		}
		over = w.tally(endEpochAt).Load() == noEpoch && w.tally(endEpochAt+1).Load() == noEpoch
		if over {
			b.seen["over"]++
			w.tally(roundAt).Store(uint64(n + 1))
			w.newSiegePipe(b.root, n+1)
		}
	})

	if over != p.Sent(0).Ended() || over != p.Sent(1).Ended() {
		b.Errorf("over: %v, ended: %v and %v", over, p.Sent(0).Ended(), p.Sent(1).Ended())
	}
}
