package manager

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Dial finds a manager that serves at an address, in another program or on another machine; see
// [connection.Dial] for networks, addresses and errors. The Manager makes a new connection when one
// is lost: calls that were under way end with [ErrLost], later ones go on. What this
// process had of locks is gone then; objects that it has proxies of live on if it is back within
// Config.Linger. Calls return the error of dialing as long as nothing answers at the address, and
// [ErrGone] if another manager does. Give Dial the MaxMessage of the listener, see [Server.Listen].
//
// Programs that do not share their source can use the same objects if the types in them are
// encoded alike, as [ipc.Shape] tells. Functions, methods and types are known by the import paths
// of the packages that register them: "main" in both programs.
func Dial(ctx context.Context, network, address string, cfg connection.Config) (*Manager, error) {
	dial := func(ctx context.Context) (*conn, error) {
		return connection.Dial[protocol](ctx, network, address, cfg)
	}
	first, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	s := newSession(store.ID{}, nil)
	s.far = true
	s.conn = &link{conn: first}
	s.connect = func(ctx context.Context) (*conn, error) {
		return s.dialAgain(ctx, dial)
	}
	s.most = cfg.MaxMessage
	if s.most == 0 {
		s.most = connection.DefaultMaxMessage
	}
	id, err := s.identify(ctx)
	if err != nil {
		_ = first.Close()
		return nil, err
	}
	s.id = id
	addSession(s, nil)
	return &Manager{s: s}, nil
}

// identify asks the manager who it is.
func (s *session) identify(ctx context.Context) (id store.ID, err error) {
	err = s.begin(store.OpPing, 0).do(ctx, func(in *store.Reader) error {
		if copy(id[:], in.Bytes()) != len(id) {
			return errNoProxy
		}
		return nil
	})
	return id, err
}

// dialAgain makes another connection, if it is to the same manager.
func (s *session) dialAgain(ctx context.Context, dial func(ctx context.Context) (*conn, error)) (*conn, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("manager: the connection was lost, and there is no other one: %w", err)
	}
	probe := newSession(store.ID{}, nil)
	probe.far = true
	probe.conn = &link{conn: c}
	id, err := probe.identify(ctx)
	if err == nil && id != s.id {
		err = fmt.Errorf("%w: the manager at the address is another one than before: Dial it", ErrGone)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
