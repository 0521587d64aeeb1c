package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/excerpt"
	"github.com/go-multiprocessing/mp/internal/inside"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// hello is the message in which a process of the same tree hands its connection to a manager.
type hello struct {
	Conn *conn
	Name string
	PID  int
}

// known holds this process's sessions, by manager. Arriving proxies use the first session with
// their manager. known also holds the doors of the managers in this tree of processes. A door is a
// queue into which clients put their connections; it is sent along with proxies.
var known = struct {
	sync.Mutex
	sessions map[store.ID][]*session
	doors    map[store.ID]*ipc.Queue[hello]
}{sessions: map[store.ID][]*session{}, doors: map[store.ID]*ipc.Queue[hello]{}}

// doorTo returns the wire form of a manager's door, or nothing if it has no door.
func doorTo(id store.ID) ([]byte, error) {
	known.Lock()
	door := known.doors[id]
	known.Unlock()
	if door == nil {
		return nil, nil
	}
	return door.MarshalBinary()
}

// sessionOf returns the session with a manager. If there is no session yet, it makes one that uses
// the door.
func sessionOf(id store.ID, door []byte) (*session, error) {
	known.Lock()
	defer known.Unlock()
	if s := known.sessions[id]; len(s) > 0 {
		return s[0], nil
	}
	if len(door) == 0 {
		return nil, errFar
	}
	q := new(ipc.Queue[hello])
	if err := q.UnmarshalBinary(door); err != nil {
		return nil, err
	}
	s := newLocalSession(id, q)
	known.sessions[id], known.doors[id] = []*session{s}, q
	return s, nil
}

// knownSession returns the session with a manager, or nil.
func knownSession(id store.ID) *session {
	known.Lock()
	defer known.Unlock()
	if s := known.sessions[id]; len(s) > 0 {
		return s[0]
	}
	return nil
}

// addSession registers a session. A session that uses a door is preferred to a remote session.
func addSession(s *session, door *ipc.Queue[hello]) {
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

// pipeBuffer is how many bytes may be in transit in each direction.
const pipeBuffer = 256 << 10

// maxHello bounds the size of a hello in bytes, and maxName the size of its name.
const (
	maxHello = 4 << 10
	maxName  = 1 << 10
)

// A knocker makes connections to a manager in this tree of processes. Only one goroutine at a time
// may use it.
type knocker struct {
	door    *ipc.Queue[hello]
	outside *conn // put into the door, but not admitted yet
}

// Times of a knocker. Tests make them shorter.
var (
	// keeping is how long another client may hold the door's lock. A client holds the lock only
	// while it copies a hello, unless its process is stopped at that moment.
	keeping = 2 * time.Second

	// passing is how long a client waits for admission after the manager has taken its hello.
	passing = time.Second
)

// Bounds of the pause between two looks at the door while nothing happens.
const (
	minDoorPoll = 10 * time.Millisecond
	maxDoorPoll = 250 * time.Millisecond
)

// maxKnocks is how many times a client sends its hello if the manager keeps losing it.
const maxKnocks = 3

var (
	errDoor   = errors.New("manager: its door cannot be used: another process has closed it, written over it or keeps it")
	errPassed = fmt.Errorf("%w: what was put there was lost", errDoor)
)

// connect makes a connection, and returns it when the manager has admitted it. If ctx ends first,
// the next call of connect continues to wait for the same connection. If the manager is slow or
// stopped, connect waits until ctx ends. If the door is visibly closed or overwritten, connect
// returns an error soon.
func (k *knocker) connect(ctx context.Context) (*conn, error) {
	for knocks := 1; ; knocks++ {
		if err := k.knock(ctx); err != nil {
			return nil, err
		}

		err := k.enter(ctx)
		if err == nil {
			in := k.outside
			k.outside = nil
			return in, nil
		}
		if ctx.Err() != nil {
			return nil, cause.Of(ctx)
		}

		k.leave()
		if !errors.Is(err, errPassed) || knocks == maxKnocks {
			return nil, err
		}
	}
}

// knock puts a new connection into the door, unless one is already waiting for admission.
func (k *knocker) knock(ctx context.Context) error {
	if k.outside != nil {
		return nil
	}
	ours, theirs, err := ipc.NewPipe[protocol](ipc.Buffer(pipeBuffer), ipc.MaxMessage(maxBytes))
	if err != nil {
		return err
	}
	me := mp.Current()
	if err := k.put(ctx, hello{theirs, excerpt.Head(me.Name, maxName), me.PID}); err != nil {
		_, _ = ours.Close(), theirs.Close()
		return err
	}
	k.outside = ours
	return nil
}

// put puts a hello into the door, and waits for room until ctx ends. If there is room, only a
// client that holds the door's lock can block put, and only for the time keeping.
func (k *knocker) put(ctx context.Context, h hello) error {
	for {
		short, cancel := context.WithTimeout(ctx, keeping)
		err := k.door.Put(short, h)
		late := short.Err() != nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return cause.Of(ctx)
		case !late:
			return fmt.Errorf("%w: %w", errDoor, err)
		case k.door.Len() < k.door.Cap():
			return fmt.Errorf("%w: for %v by now", errDoor, keeping)
		}
	}
}

// enter waits until the manager says that it has admitted the connection, or why it has refused it.
func (k *knocker) enter(ctx context.Context) error {
	var got time.Time // when the manager had taken everything from the door
	for pause := minDoorPoll; ; pause = min(2*pause, maxDoorPoll) {
		ready, err := k.outside.Poll(ctx, pause)
		if err != nil {
			return err
		}

		over := inside.QueueEnded(k.door)
		if over && !ready { // the manager may have admitted the connection just before
			ready, err = k.outside.Poll(ctx, 0)
		}

		switch {
		case ready:
			return k.greeted(ctx)
		case err != nil:
			return err
		case over:
			return fmt.Errorf("%w: %w", errDoor, mp.ErrClosed)
		case k.door.Len() > 0:
			got = time.Time{}
		case got.IsZero():
			got = time.Now()
		case time.Since(got) > passing:
			return errPassed
		}
	}
}

// greeted receives the manager's greeting to a connection that it has taken from the door. If the
// connection ends without a greeting, the manager could not use it.
func (k *knocker) greeted(ctx context.Context) error {
	greeting, err := k.outside.RecvBytes(ctx)
	if errors.Is(err, io.EOF) {
		return errPassed
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errDoor, err)
	}
	return store.Frames(greeting, func(_ uint32, body []byte) error {
		_, err := store.Answer(body)
		return err
	})
}

// leave gives up a connection that has not been admitted.
func (k *knocker) leave() {
	if k.outside != nil {
		_ = k.outside.Close()
		k.outside = nil
	}
}

// greet tells a client that its connection is admitted, or why it is not.
func greet(on *conn, err error) {
	var w store.Writer
	if err != nil {
		w.Fail(0, err)
	}
	_ = on.TrySendBytes(w.B)
}
