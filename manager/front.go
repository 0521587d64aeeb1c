package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/spin"
)

// A front serves all clients of this tree of processes, in one goroutine: as long as that is the
// only one that waits, whoever asks wakes it without a detour over another one. A client that
// does not read its answers fast enough, or asks for so much in one message that others would have to
// wait, gets a goroutine of its own.
type front struct {
	s     *Server
	door  *mp.Queue[hello]
	peers []*peer
	waits []mp.Selectable // the door, and the peers' connections
	spins spin.Spinner
}

func newFront(s *Server, door *mp.Queue[hello]) *front {
	return &front{s: s, door: door, waits: []mp.Selectable{door}}
}

// run serves until the door is closed. It does so without a context, whose end would have to be
// watched at each turn.
func (f *front) run() error {
	for {
		ready := f.soon()
		if len(ready) == 0 {
			var err error
			if ready, err = mp.Select(context.Background(), f.waits...); err != nil {
				return err
			}
		}
		for _, i := range slices.Backward(ready) { // from behind: some may be taken out
			if i > 0 {
				f.turn(i - 1)
			} else if !f.letIn() {
				return nil
			}
		}
	}
}

// few is how many clients there may be to be looked at again and again.
const few = 8

// soon returns what is ready in a moment, if anything is. It looks at the door as well: otherwise a
// client that asks all the time would keep others out, and the manager from its end.
func (f *front) soon() (ready []int) {
	if len(f.peers) == 0 || len(f.peers) > few {
		return nil
	}
	f.spins.Until(func() bool {
		ready, _ = mp.Select(overdue, f.waits...)
		return len(ready) > 0
	})
	return ready
}

// overdue is a context that has ended: who waits with it only looks.
var overdue = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// turn answers a client that has asked something.
func (f *front) turn(i int) {
	p := f.peers[i]
	err := p.turn(context.Background(), f.s.store, p.trySend)
	switch {
	case errors.Is(err, errSlow), err == nil && len(p.rest) > 0:
		f.forget(i)
		f.s.serving.Go(func() { f.s.goOn(p) })
	case err != nil:
		f.forget(i)
		p.end(f.s.ctx, f.s, err)
	}
}

func (f *front) forget(i int) {
	f.peers = slices.Delete(f.peers, i, i+1)
	f.waits = slices.Delete(f.waits, i+1, i+2)
}

// letIn lets clients in, and reports whether the door is still open.
func (f *front) letIn() bool {
	for {
		h, err := f.door.TryGet()
		switch {
		case errors.Is(err, mp.ErrClosed):
			return false
		case errors.Is(err, mp.ErrEmpty):
			return true
		case err != nil:
			f.s.log.Error("manager: a client could not be let in", "error", err)
			continue
		}
		p := &peer{conn: h.Conn, most: mostBytes, name: fmt.Sprintf("process %d (%s)", h.PID, h.Name)}
		p.enter(f.s.ctx, f.s)
		f.peers = append(f.peers, p)
		f.waits = append(f.waits, h.Conn)
	}
}

// close closes all connections.
func (f *front) close() {
	for _, p := range f.peers {
		p.end(f.s.ctx, f.s, mp.ErrClosed)
	}
}
