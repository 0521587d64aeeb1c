package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/internal/spin"
	"github.com/go-multiprocessing/mp/ipc"
)

// A front serves all clients in this tree of processes in one goroutine. As long as the front is
// the only waiting goroutine, a client wakes it directly. The front never waits for a client,
// whatever the client has written to the memory that they share. A client that does not read its
// answers fast enough, or that asks for a lot at a time, gets a goroutine of its own. A client that
// has overwritten its connection is disconnected.
type front struct {
	s     *Server
	door  *ipc.Queue[hello]
	stop  *ipc.Event
	peers []*peer
	waits []ipc.Selectable // stop, door, and the peers' connections
	spins spin.Spinner
}

// Indices in front.waits.
const (
	atStop = iota
	atDoor
	atPeers
)

func newFront(s *Server, door *ipc.Queue[hello], stop *ipc.Event) *front {
	return &front{s: s, door: door, stop: stop, waits: []ipc.Selectable{stop, door}}
}

// run serves clients until stop is set. It uses no context, since checking a context in each turn
// would cost time.
func (f *front) run() error {
	for {
		ready := f.soon()
		if len(ready) == 0 {
			var err error
			if ready, err = ipc.Select(context.Background(), f.waits...); err != nil {
				return err
			}
		}

		for _, i := range slices.Backward(ready) { // backward, since a turn may remove its element
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

// stopped reports whether the manager must end. Only the process that started it can set stop,
// since no client has the event's memory.
func (f *front) stopped() bool {
	set, err := f.stop.IsSet()
	return set || err != nil
}

// few is the maximum number of clients for which the front spins.
const few = 8

// soon spins for a moment and returns what is ready. It checks the door and stop as well. Without
// that, a client that sends requests all the time could keep new clients out, or keep the manager
// from ending.
func (f *front) soon() (ready []int) {
	if len(f.peers) == 0 || len(f.peers) > few {
		return nil
	}
	f.spins.Until(func() bool {
		ready, _ = ipc.Select(overdue, f.waits...)
		return len(ready) > 0
	})
	return ready
}

// overdue is a context that has ended. Select with it does not wait.
var overdue = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// turn answers the requests of a client.
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

// admitsPerTurn is how many clients letIn admits before the others get their turn.
const admitsPerTurn = 64

// letIn admits clients. It is called when the door has an element. If the door turns out to be
// empty, another process has closed or overwritten it, and letIn stops using the door.
func (f *front) letIn() {
	for n := range admitsPerTurn {
		h, err := f.door.TryGet()
		var undecodable *mp.CodecError
		switch {
		case err == nil && h.Conn != nil:
			f.enter(h)
		case err == nil, errors.As(err, &undecodable):
			f.s.log.Error("manager: a client could not be admitted", "error", err)
		case errors.Is(err, ipc.ErrEmpty) && n > 0:
			return
		default:
			f.loseDoor(err)
			return
		}
	}
}

// enter admits a client, unless there are too many, and tells the client whether it is admitted.
func (f *front) enter(h hello) {
	inside.BoundConn(h.Conn, maxBytes)
	leave, err := f.s.local.admit(inside.MakerOfConn(h.Conn))
	name := fmt.Sprintf("process %d (%s)", h.PID, h.Name)
	greet(h.Conn, err)
	if err != nil {
		f.s.log.Warn("manager: a client was refused", "client", name, "error", err)
		go h.Conn.Close()
		return
	}
	p := &peer{conn: h.Conn, most: maxBytes, name: name, leave: leave}
	p.holds, p.owes = f.s.holds(p, inside.MakerOfConn(h.Conn)), &f.s.owed
	inside.BoundNext(h.Conn, bufSize)
	p.enter(f.s.ctx, f.s)
	f.peers = append(f.peers, p)
	f.waits = append(f.waits, h.Conn)
}

// loseDoor continues without a door. Connected clients stay; new ones find the door closed.
func (f *front) loseDoor(err error) {
	if f.stopped() {
		return
	}
	_ = f.door.Close()
	f.waits[atDoor] = f.stop
	f.s.log.Error("manager: no more processes can connect: another process has closed or overwritten the door", "error", err)
}

// close closes all connections.
func (f *front) close() {
	for _, p := range f.peers {
		p.end(f.s.ctx, f.s, mp.ErrClosed)
	}
}
