package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/store"
)

// hello is what a process of the same tree says to a manager: here is my connection.
type hello struct {
	Conn *conn
	Name string
	PID  int
}

// The sessions of this process, of which the first of a manager is that of proxies which arrive, and
// the doors of managers in its tree of processes: queues into which connections are put. A door
// travels with the proxies.
var known = struct {
	sync.Mutex
	sessions map[store.ID][]*session
	doors    map[store.ID]*mp.Queue[hello]
}{sessions: map[store.ID][]*session{}, doors: map[store.ID]*mp.Queue[hello]{}}

// doorTo is the wire form of a manager's door; nothing if there is none.
func doorTo(id store.ID) ([]byte, error) {
	known.Lock()
	door := known.doors[id]
	known.Unlock()
	if door == nil {
		return nil, nil
	}
	return door.MarshalBinary()
}

// sessionOf is the session with a manager, which may be met here for the first time, by its door.
func sessionOf(id store.ID, door []byte) (*session, error) {
	known.Lock()
	defer known.Unlock()
	if s := known.sessions[id]; len(s) > 0 {
		return s[0], nil
	}
	if len(door) == 0 {
		return nil, errFar
	}
	q := new(mp.Queue[hello])
	if err := q.UnmarshalBinary(door); err != nil {
		return nil, err
	}
	s := newSession(id, func(ctx context.Context) (*conn, error) { return knock(ctx, q) })
	known.sessions[id], known.doors[id] = []*session{s}, q
	return s, nil
}

// knownSession is the session with a manager if there is one.
func knownSession(id store.ID) *session {
	known.Lock()
	defer known.Unlock()
	if s := known.sessions[id]; len(s) > 0 {
		return s[0]
	}
	return nil
}

// addSession makes a session known: with a manager that has a door, which is preferred, or with a
// remote one.
func addSession(s *session, door *mp.Queue[hello]) {
	known.Lock()
	defer known.Unlock()
	if door == nil {
		known.sessions[s.id] = append(known.sessions[s.id], s)
		return
	}
	known.doors[s.id] = door
	known.sessions[s.id] = slices.Insert(known.sessions[s.id], 0, s)
}

func forgetSession(s *session) {
	known.Lock()
	defer known.Unlock()
	rest := slices.DeleteFunc(known.sessions[s.id], func(other *session) bool { return other == s })
	if known.sessions[s.id] = rest; len(rest) == 0 {
		delete(known.sessions, s.id)
	}
	if !s.far {
		delete(known.doors, s.id)
	}
}

// pipeBuffer is how much may be on its way in each direction.
const pipeBuffer = 256 << 10

// doorTimeout is how long a client waits for room in the door, whatever its context. A stopped manager does not
// make clients wait, as long as the queue has room. A process that has overwritten the door, or was stopped
// while it was changing the door, does.
const doorTimeout = 10 * time.Second

var errDoor = errors.New("manager: its door cannot be used: another process has closed, overwritten or blocked it")

// knock makes a connection to a manager of this tree.
func knock(ctx context.Context, door *mp.Queue[hello]) (*conn, error) {
	ours, theirs, err := mp.NewPipe[protocol](mp.PipeConfig{Buffer: pipeBuffer})
	if err != nil {
		return nil, err
	}
	me := mp.Current()
	short, cancel := context.WithTimeout(ctx, doorTimeout)
	defer cancel()
	if err := door.Put(short, hello{theirs, me.Name, me.PID}); err != nil {
		_, _ = ours.Close(), theirs.Close()
		if ctx.Err() != nil {
			return nil, cause.Of(ctx)
		}
		return nil, fmt.Errorf("%w: %w", errDoor, err)
	}
	return ours, nil
}
