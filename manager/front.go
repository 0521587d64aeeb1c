package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/internal/spin"
)

// A front serves all clients of this tree of processes, in one goroutine: as long as that is the
// only one that waits, whoever asks wakes it without a detour over another one. It waits for no
// client, whatever that has written into the memory that both have: it only tries. A client that
// does not read its answers fast enough, or asks much at a time, gets a goroutine of its own; one that has
// written over its connection is thrown out.
type front struct {
	s     *Server
	door  *mp.Queue[hello]
	stop  *mp.Event
	peers []*peer
	waits []mp.Selectable // the stop, the door, and the peers' connections
	spins spin.Spinner
}

// Places among those that a front waits for.
const (
	atStop = iota
	atDoor
	atPeers
)

func newFront(s *Server, door *mp.Queue[hello], stop *mp.Event) *front {
	return &front{s: s, door: door, stop: stop, waits: []mp.Selectable{stop, door}}
}

// run serves until it is to stop. It does so without a context, whose end would have to be
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
			switch {
			case i >= atPeers:
				f.turn(i - atPeers)
			case f.stopped():
				return nil
			case i == atDoor:
				f.letIn()
			}
		}
	}
}

// stopped reports whether the manager is to end. Only those who have started it can say so, beside whom nobody
// has that memory.
func (f *front) stopped() bool {
	set, err := f.stop.IsSet()
	return set || err != nil
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
	err := p.turn(context.Background(), f.s.store, p.hastily())
	switch {
	case errors.Is(err, errSlow):
		f.forget(i)
		f.s.serving.Go(func() { f.s.goOn(p) })
	case err != nil:
		f.forget(i)
		p.end(f.s.ctx, f.s, err)
	}
}

func (f *front) forget(i int) {
	f.peers = slices.Delete(f.peers, i, i+1)
	f.waits = slices.Delete(f.waits, i+atPeers, i+atPeers+1)
}

// atOnce is how many clients are let in before it is the turn of those who are in.
const atOnce = 64

// letIn lets clients in. It is called when somebody is at the door. If nobody can be let in there, another process
// has closed the door or written over it: it is given up then.
func (f *front) letIn() {
	for n := range atOnce {
		h, err := f.door.TryGet()
		var undecodable *mp.CodecError
		switch {
		case err == nil && h.Conn != nil:
			f.enter(h)
		case err == nil, errors.As(err, &undecodable):
			f.s.log.Error("manager: a client could not be let in", "error", err)
		case errors.Is(err, mp.ErrEmpty) && n > 0:
			return
		default:
			f.loseDoor(err)
			return
		}
	}
}

// enter lets a client in, unless there are too many, and says so to it.
func (f *front) enter(h hello) {
	inside.BoundConn(h.Conn, mostBytes)
	leave, err := f.s.local.admit(inside.MakerOfConn(h.Conn))
	name := fmt.Sprintf("process %d (%s)", h.PID, h.Name)
	greet(h.Conn, err)
	if err != nil {
		f.s.log.Warn("manager: a client was refused", "client", name, "error", err)
		go h.Conn.Close()
		return
	}
	p := &peer{conn: h.Conn, most: mostBytes, name: name, leave: leave}
	p.enter(f.s.ctx, f.s)
	f.peers = append(f.peers, p)
	f.waits = append(f.waits, h.Conn)
}

// loseDoor goes on without a door. Clients that are in stay; the closed door tells the others.
func (f *front) loseDoor(err error) {
	if f.stopped() {
		return
	}
	_ = f.door.Close()
	f.waits[atDoor] = f.stop
	f.s.log.Error("manager: no more processes can be let in: another one has closed or written over the door", "error", err)
}

// close closes all connections.
func (f *front) close() {
	for _, p := range f.peers {
		p.end(f.s.ctx, f.s, mp.ErrClosed)
	}
}
