package manager

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
)

// A Setup runs in a manager's process before the manager serves any client; see [SetupFunc].
type Setup interface {
	bound() (boundSetup, error)
}

// A SetupOf is a function that sets up a manager; [SetupOf.With] binds its argument.
type SetupOf[A any] struct {
	name string
	f    func(ctx context.Context, s *Server, arg A) error
	arg  *codec.Type[A]
	once func() error
}

// SetupFunc registers a function for [Config].Setup. The function can prepare what methods need, or
// call [Server.Listen] to make the manager serve remote clients. If the function returns an error,
// Start returns that error.
//
// Like [mp.Register], SetupFunc must be called in package variables or init functions. It panics if
// the name is empty or taken.
func SetupFunc[A any](name string, f func(ctx context.Context, s *Server, arg A) error) *SetupOf[A] {
	s := &SetupOf[A]{f: f}
	s.once = sync.OnceValue(s.choose)
	s.name = functions.add("SetupFunc", caller.Package(), name, f == nil, s)
	return s
}

func (s *SetupOf[A]) check() error { return s.once() }

func (s *SetupOf[A]) choose() (err error) {
	if s.arg, err = codec.ForMessage[A](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	return nil
}

// With binds the argument.
func (s *SetupOf[A]) With(arg A) Setup { return &setupWith[A]{s, arg} }

type setupWith[A any] struct {
	s   *SetupOf[A]
	arg A
}

func (w *setupWith[A]) bound() (boundSetup, error) {
	if err := w.s.check(); err != nil {
		return boundSetup{}, fmt.Errorf("manager: %s: %w", w.s.name, err)
	}
	arg, err := encode(nil, w.s.arg, &w.arg)
	return boundSetup{w.s.name, arg}, err
}

// setting is a SetupOf with any type.
type setting interface {
	registered
	run(ctx context.Context, srv *Server, arg []byte) error
}

func (s *SetupOf[A]) run(ctx context.Context, srv *Server, arg []byte) error {
	return shielded(func() error {
		var a A
		if err := decode(s.arg, arg, &a); err != nil {
			return err
		}
		return s.f(ctx, srv, a)
	})
}

// boundSetup is the wire form of a Setup.
type boundSetup struct {
	Name string
	Arg  []byte
}

func bindSetup(s Setup) (boundSetup, error) {
	if s == nil {
		return boundSetup{}, nil
	}
	return s.bound()
}

func (b boundSetup) run(ctx context.Context, srv *Server) error {
	if b.Name == "" {
		return nil
	}
	s, err := find[setting](&functions, "setup function", b.Name)
	if err != nil {
		return err
	}
	return s.run(ctx, srv, b.Arg)
}
