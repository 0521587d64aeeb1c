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
	doors    map[store.ID]*ipc.Queue[hello]
}{sessions: map[store.ID][]*session{}, doors: map[store.ID]*ipc.Queue[hello]{}}

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
	q := new(ipc.Queue[hello])
	if err := q.UnmarshalBinary(door); err != nil {
		return nil, err
	}
	s := newLocalSession(id, q)
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

// pipeBuffer is how much may be on its way in each direction.
const pipeBuffer = 256 << 10

// mostHello is how many bytes a hello has at most, and mostName how many of them are its name.
const (
	mostHello = 4 << 10
	mostName  = 1 << 10
)

// A knocker makes connections to a manager of this tree of processes. One goroutine at a time uses it.
type knocker struct {
	door    *ipc.Queue[hello]
	outside *conn // put into the door, and not let in yet
}

// Times of a knocker. Tests make them shorter.
var (
	// keeping is how long another client may keep the door to itself. Nobody needs it for longer than it takes
	// to copy a hello, except a process that is stopped just then.
	keeping = 2 * time.Second

	// passing is how long a client is still let in whose hello the manager has got.
	passing = time.Second
)

// Times between two looks at a door behind which nothing happens.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = 250 * time.Millisecond
)

// mostKnocks is how often a client knocks whose hellos are lost.
const mostKnocks = 3

var (
	errDoor   = errors.New("manager: its door cannot be used: another process has closed it, written over it or keeps it")
	errPassed = fmt.Errorf("%w: what was put there was lost", errDoor)
)

// connect makes a connection, and returns it when the manager has let it in. When ctx ends first, the
// next call goes on waiting. A manager that is slow, or stopped, may take as long as ctx lasts; at a door that is
// seen to be closed or written over the error comes soon.
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
		if !errors.Is(err, errPassed) || knocks == mostKnocks {
			return nil, err
		}
	}
}

// knock puts a new connection into the door, unless there is one already.
func (k *knocker) knock(ctx context.Context) error {
	if k.outside != nil {
		return nil
	}
	ours, theirs, err := ipc.NewPipe[protocol](ipc.PipeConfig{Buffer: pipeBuffer, MaxMessage: mostBytes})
	if err != nil {
		return err
	}
	me := mp.Current()
	if err := k.put(ctx, hello{theirs, excerpt.Head(me.Name, mostName), me.PID}); err != nil {
		_, _ = ours.Close(), theirs.Close()
		return err
	}
	k.outside = ours
	return nil
}

// put puts a hello into the door, and waits for room until ctx ends. While there is room, another client can only
// keep the lock of those who put: not for longer than keeping.
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

// enter waits until the manager says that the connection has been let in, or why not.
func (k *knocker) enter(ctx context.Context) error {
	var got time.Time // since when the manager has all that was at the door
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		ready, err := k.outside.Poll(ctx, pause)
		if err != nil {
			return err
		}
		over := inside.QueueEnded(k.door)
		if over && !ready { // it may have been let in just before
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

// greeted receives what the manager says to a connection that it has got. Nothing more than the end of it says
// that the manager could not make use of it.
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

// leave gives up the connection that has not been let in.
func (k *knocker) leave() {
	if k.outside != nil {
		_ = k.outside.Close()
		k.outside = nil
	}
}

// greet says to a connection that it is let in, or why not.
func greet(on *conn, err error) {
	var w store.Writer
	if err != nil {
		w.Fail(0, err)
	}
	_ = on.TrySendBytes(w.B)
}
