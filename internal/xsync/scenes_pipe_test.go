//go:build linux && amd64

package xsync_test

import (
	"errors"
	"fmt"

	"github.com/go-multiprocessing/mp/internal/errs"
	"github.com/go-multiprocessing/mp/internal/park"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// The victim has, or is about to get, end 1 of a pipe. The others wait for what it sends.
const (
	victimsEnd = 1
	pipeBytes  = 512 // for each direction
)

func (w *world) pipeMemory(n int) []byte {
	return w.bytes(n)[xsync.PipeHead:][: 2*pipeBytes : 2*pipeBytes]
}

func (w *world) openPipe(table *park.WaitTable, n int) *xsync.Pipe {
	return xsync.OpenPipe(w.memory(table, n), w.pipeMemory(n))
}

// newPipe creates a pipe whose ends are both in transit, in epoch 1.
func (w *world) newPipe(table *park.WaitTable, n int) *xsync.Pipe {
	p := xsync.NewPipe(w.memory(table, n), w.pipeMemory(n))
	for end := range 2 {
		if epoch, ok := p.Depart(end, 0, true); !ok || epoch != 1 {
			panic(fmt.Sprintf("departs: %d, %v", epoch, ok))
		}
	}
	return p
}

func init() {
	for op, f := range map[string]func(w *world, p *xsync.Pipe){
		"close":  func(_ *world, p *xsync.Pipe) { p.CloseEnd(victimsEnd, 1) },
		"depart": func(_ *world, p *xsync.Pipe) { p.Depart(victimsEnd, 1, true) },
		"leave":  func(_ *world, p *xsync.Pipe) { p.Depart(victimsEnd, 1, false) },
		"put":    func(w *world, p *xsync.Pipe) { _ = w.markedPut(p.Sent(victimsEnd), 1, 8) },
	} {
		operations["pipe-"+op] = func(w *world, table *park.WaitTable, n int) func() {
			p := w.openPipe(table, n)
			if !p.Arrive(victimsEnd, 1) {
				panic("the end does not arrive")
			}
			return func() { f(w, p) }
		}
	}

	operations["pipe-arrive"] = func(w *world, table *park.WaitTable, n int) func() {
		p := w.openPipe(table, n)
		return func() { p.Arrive(victimsEnd, 1) }
	}
	operations["pipe-lose"] = func(w *world, table *park.WaitTable, n int) func() {
		p := w.openPipe(table, n)
		return func() { p.Lose(victimsEnd, 1) }
	}

	// pipe-receive-all receives until the end is closed.
	actions["pipe-receive-all"] = func(w *world, table *park.WaitTable, n int) error {
		r := w.openPipe(table, n).Sent(victimsEnd)
		for {
			if err := w.markedGet(r); errors.Is(err, errs.ErrClosed) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}

	scenes = append(scenes, pipeScenes...)
}

func makePipe(s *stage) {
	s.w.tally(acceptedAt).Store(0)
	s.w.tally(gotAt).Store(0)
	s.w.newPipe(s.root, s.n)
}

// transit loses the victim's end if it is still in transit in one of the given epochs.
func transit(epochs ...uint32) func(s *stage) {
	return func(s *stage) {
		for _, epoch := range epochs {
			s.w.openPipe(s.root, s.n).Lose(victimsEnd, epoch)
		}
	}
}

// closedFor checks that the victim's end is closed, so that no process can take it and nothing can
// be sent. The pipe must be over when the other end is closed too.
func closedFor(s *stage) {
	p := s.w.openPipe(s.root, s.n)
	for epoch := range uint32(3) {
		if p.Arrive(victimsEnd, epoch) {
			s.t.Error("it arrives on trip ", epoch)
		}
	}

	for end := range 2 {
		if err := p.Sent(end).TryPut(numbered(9, 8), numberedPlace, nil); !errors.Is(err, errs.ErrClosed) {
			s.t.Error("sent: ", err)
		}
	}

	accepted, got := s.w.tally(acceptedAt).Load(), s.w.tally(gotAt).Load()
	if accepted&^got != 0 {
		s.t.Errorf("accepted: %b, got: %b", accepted, got)
	}
	if !p.Arrive(0, 1) {
		s.t.Error("the other end does not arrive")
	}
	if !p.CloseEnd(0, 1) {
		s.t.Error("the last end was not the last")
	}
}

var aPipe = []xsync.Kind{xsync.KindPipe}

// Whatever a process does with its end when it dies, waiters at the other end learn of it.
var pipeScenes = []scene{
	{name: "pipe close", kinds: aPipe, make: makePipe, op: "pipe-close", here: "pipe-receive-all", there: "pipe-receive-all", check: closedFor},
	{name: "pipe put", kinds: aPipe, make: makePipe, op: "pipe-put", here: "pipe-receive-all", there: "pipe-receive-all", check: closedFor},
	{name: "pipe depart, with its process", kinds: aPipe, make: makePipe, op: "pipe-leave", here: "pipe-receive-all", there: "pipe-receive-all", check: closedFor},
	{name: "pipe depart, for good", kinds: aPipe, make: makePipe, op: "pipe-depart", here: "pipe-receive-all", there: "pipe-receive-all",
		finish: transit(2), check: closedFor},
	{name: "pipe arrive", kinds: aPipe, make: makePipe, op: "pipe-arrive", here: "pipe-receive-all", there: "pipe-receive-all",
		finish: transit(1), check: closedFor},
	{name: "pipe lose", kinds: aPipe, make: makePipe, op: "pipe-lose", here: "pipe-receive-all", there: "pipe-receive-all",
		finish: transit(1), check: closedFor},
}
