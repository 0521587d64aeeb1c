package manager

import (
	"context"
	"fmt"

	"github.com/go-multiprocessing/mp/connection"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Dial connects to a manager that serves at an address, in another program or on another machine;
// see [connection.Dial] for networks, addresses and errors. Give Dial the MaxMessage of the
// listener; see [Server.Listen].
//
// If the connection is lost, calls in progress return [ErrLost], and the next call makes a new
// connection. This process has then lost its locks. The objects for which this process has proxies
// live on if it connects again within Config.Linger. As long as no manager answers at the address,
// calls return the error from dialing. If a different manager answers, calls return [ErrGone].
//
// Programs that do not share their source can use the same objects if the encodings of their types
// are equal, which [ipc.Shape] tells. Functions, methods and types are identified by name and by
// the import path of the package that registers them. In both programs, the path of a package main
// is "main".
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

// identify asks the manager for its ID.
func (s *session) identify(ctx context.Context) (id store.ID, err error) {
	err = s.begin(store.OpPing, 0).do(ctx, func(in *store.Reader) error {
		if copy(id[:], in.Bytes()) != len(id) {
			return errNoProxy
		}
		return nil
	})
	return id, err
}

// dialAgain makes a new connection, and checks that it leads to the same manager.
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
