package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/cause"
	"github.com/go-multiprocessing/mp/internal/errtree"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// A Manager is a server process with objects that any process can use through proxies. [Start]
// starts one, and [Dial] connects to one that is already running. A pointer to a Manager can be
// sent to other processes like a proxy, so that they can make objects in it. A Manager is safe for
// concurrent use.
//
// A Manager ends when the process that started it calls [Manager.Shutdown] or [Manager.Close], or
// when that process ends. A SIGINT or SIGTERM sent to the manager's own process ([Manager.PID])
// ends it as well.
type Manager struct {
	s     *session
	owner *owner // nil in other processes

	mu     sync.Mutex
	closed bool
}

// owner is the state that only the process that started a manager has.
type owner struct {
	process *mp.Process[struct{}]
	door    *ipc.Queue[hello] // shared with all clients
	stop    *ipc.Event        // shared with the manager only
	addr    string
	cfg     Config
}

// Start starts a manager and returns when the manager is ready to serve clients, which takes a few
// milliseconds. Without [mp.Init] the error is [mp.ErrNotInitialized]. Any other error names the
// part of the config that cannot be used, is Setup's error, or says why the process has not come
// up. If ctx ends first, Start leaves nothing behind.
func Start(ctx context.Context, cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err == nil {
		err = functions.check()
	}
	if err != nil {
		return nil, err
	}

	setup, err := bindSetup(cfg.Setup)
	if err != nil {
		return nil, err
	}

	door, stop, err := newDoor()
	if err != nil {
		return nil, err
	}

	ready, sayReady, err := ipc.NewPipe[readiness](ipc.OneWay())
	if err != nil {
		return nil, errors.Join(err, door.Discard(), stop.Close())
	}
	defer ready.Close()
	id := store.NewID()
	job := serving{ID: id, Door: door, Stop: stop, Ready: sayReady, Limits: cfg.Limits, Linger: cfg.Linger, Setup: setup, Network: cfg.Network, Address: cfg.Address, Key: cfg.Key}
	process, err := mp.NewProcess(serve, job, cfg.Process)
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		return nil, errors.Join(err, sayReady.Close(), door.Discard(), stop.Close())
	}

	m := &Manager{owner: &owner{process: process, door: door, stop: stop, cfg: cfg}}
	m.s = newLocalSession(id, door)
	addSession(m.s, door)
	if err := m.owner.await(ctx, ready); err != nil {
		m.end()
		return nil, err
	}
	go m.follow()
	return m, nil
}

// newDoor makes the queue into which clients put their connections, and the event that ends the
// manager. Each has a segment of its own: clients can overwrite the door's segment, so it must
// contain nothing else.
func newDoor() (*ipc.Queue[hello], *ipc.Event, error) {
	stop, err := ipc.NewEvent(ipc.Isolated())
	if err != nil {
		return nil, nil, err
	}
	door, err := ipc.NewQueue[hello](ipc.Isolated(), ipc.MaxElement(maxHello))
	if err != nil {
		return nil, nil, errors.Join(err, stop.Close())
	}
	return door, stop, nil
}

// letGo releases the objects of a manager whose process has ended.
func (o *owner) letGo() {
	_ = o.door.Discard()
	_ = o.stop.Close()
}

// readiness is the message with which a manager reports that it is ready to serve clients, or why
// it is not.
type readiness struct {
	Addr string
	Err  []byte // encoded
}

// await waits until the manager is ready to serve clients.
func (o *owner) await(ctx context.Context, ready *ipc.Conn[readiness]) error {
	r, err := ready.Recv(ctx)
	switch {
	case errors.Is(err, io.EOF):
		_, err = o.process.Wait(ctx)
		if err == nil {
			err = errors.New("it has ended")
		}
		return fmt.Errorf("manager: its process has not come up: %w", err)
	case err != nil:
		return err
	case r.Err != nil:
		return errtree.Decode(r.Err)
	}
	o.addr = r.Addr
	return nil
}

// follow ends the session when the process has ended.
func (m *Manager) follow() {
	<-m.owner.process.Done()
	m.s.close(errEnded)
	forgetSession(m.s)
	m.owner.letGo()
}

var errEnded = fmt.Errorf("manager: it has ended: %w", mp.ErrClosed)

// Addr returns the address for remote clients: Config.Address, or the last address at which
// [Config].Setup listens. If the address left the port open, the result contains the port that was
// chosen. Addr returns "" if there is no address, and in processes that did not start the manager.
func (m *Manager) Addr() string {
	if m.owner == nil {
		return ""
	}
	return m.owner.addr
}

// PID returns the ID of the manager's process, or 0 in processes that did not start the manager.
func (m *Manager) PID() int {
	if m.owner == nil {
		return 0
	}
	return m.owner.process.PID()
}

// Done returns a channel that is closed when the manager's process has ended. It returns nil in
// processes that did not start the manager.
func (m *Manager) Done() <-chan struct{} {
	if m.owner == nil {
		return nil
	}
	return m.owner.process.Done()
}

var errNotOwner = errors.New("manager: only the process that has started it can shut it down")

// Shutdown asks the manager to end. The manager then ends all calls with [mp.ErrClosed] and closes
// its objects. If the manager has not ended after Config.Grace, Shutdown terminates the process.
// After another Config.Grace, or when ctx ends, it kills the process. The error is ctx's, or says
// how the manager ended if it did not end by itself. Only the process that started the manager can
// shut it down; in other processes Shutdown returns an error. Shutdown may be called more than
// once.
func (m *Manager) Shutdown(ctx context.Context) error {
	if m.owner == nil {
		return errNotOwner
	}

	m.shut()
	defer m.end()
	_ = m.owner.stop.Set()
	_ = m.owner.door.Close()
	for _, next := range []func() error{m.owner.process.Terminate, nil} {
		grace, cancel := context.WithTimeout(ctx, m.owner.cfg.Grace)
		_, err := m.owner.process.Wait(grace)
		over := grace.Err() == nil
		cancel()
		if over {
			return err
		}
		if ctx.Err() != nil {
			return cause.Of(ctx)
		}
		if next != nil {
			_ = next()
		}
	}

	return errors.New("manager: it did not end by itself, nor when terminated, and was killed")
}

// end kills the process if it is still running, and waits until it has ended.
func (m *Manager) end() {
	_ = m.owner.process.Kill()
	<-m.owner.process.Done()
	m.s.close(errEnded)
	forgetSession(m.s)
	m.owner.letGo()
}

// Close kills the manager if this process started it. If not, Close ends this process's connection
// to the manager and releases everything that this process holds in the manager; the manager itself
// goes on. Close may be called more than once.
func (m *Manager) Close() error {
	m.shut()
	if m.owner != nil {
		m.end()
		return nil
	}
	m.s.close(fmt.Errorf("manager: the connection was closed: %w", mp.ErrClosed))
	forgetSession(m.s)
	return nil
}

// shut makes new calls fail. It does not wait for a shutdown that is in progress.
func (m *Manager) shut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// use returns the session, or an error if the Manager cannot be used.
func (m *Manager) use() (*session, error) {
	if m == nil || m.s == nil {
		return nil, errNotMade
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, mp.ErrClosed
	}
	return m.s, nil
}

// Ping waits for an answer from the manager. The error says why there was no answer.
func (m *Manager) Ping(ctx context.Context) error {
	s, err := m.use()
	if err != nil {
		return err
	}
	return s.begin(store.OpPing, 0).do(ctx, func(in *store.Reader) error { in.Bytes(); return nil })
}

// Forget removes a name, so that the name no longer keeps its object alive. It reports whether the
// name existed.
func (m *Manager) Forget(ctx context.Context, name string) (was bool, err error) {
	s, err := m.use()
	if err != nil {
		return false, err
	}
	r := s.begin(store.OpForget, 0)
	r.Bytes([]byte(name))
	err = r.do(ctx, func(in *store.Reader) error { was = in.Bool(); return nil })
	return was, err
}

// Stats is a snapshot of a manager's counts.
type Stats struct {
	Clients int // connections from this process tree, and remote ones
	Objects int
	Bytes   int // the bytes that count toward Limits.Bytes
	Waiting int // calls that wait, or that run a function or method

	// WaitingBytes is the number of bytes that count toward Limits.Waiting, summed over all
	// clients. It includes functions and methods that still run for clients that are gone.
	WaitingBytes int
}

// Stats returns the manager's current counts.
func (m *Manager) Stats(ctx context.Context) (Stats, error) {
	var st Stats
	s, err := m.use()
	if err != nil {
		return st, err
	}
	err = s.begin(store.OpStats, 0).do(ctx, func(in *store.Reader) error {
		st = Stats{in.Int(), in.Int(), in.Int(), in.Int(), in.Int()}
		return nil
	})
	return st, err
}

// MarshalBinary encodes how to reach the manager, for use in messages of mp.
func (m *Manager) MarshalBinary() ([]byte, error) {
	s, err := m.use()
	if err != nil {
		return nil, err
	}
	door, err := doorTo(s.id)
	if err != nil {
		return nil, err
	}
	return append(s.id[:], door...), nil
}

// UnmarshalBinary sets m to the Manager encoded in data. This process can use the Manager but not
// end it.
func (m *Manager) UnmarshalBinary(data []byte) error {
	if len(data) < store.IDSize {
		return errNoProxy
	}
	s, err := sessionOf(store.ID(data[:store.IDSize]), data[store.IDSize:])
	if err == nil {
		m.s, m.owner, m.closed = s, nil, false
	}
	return err
}

var errFar = errors.New("manager: a proxy of a manager that this process cannot reach: Dial it before")
