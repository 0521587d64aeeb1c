package manager

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// proxy is the common part of all proxies.
type proxy struct {
	s     *session
	id    uint64
	kind  store.Kind
	shape uint64

	closed atomic.Bool
	given  runtime.Cleanup
}

// newProxy makes a proxy for an object that has been acquired.
func newProxy(s *session, id uint64, kind store.Kind, shape uint64) *proxy {
	p := &proxy{s: s, id: id, kind: kind, shape: shape}
	p.given = runtime.AddCleanup(p, func(id uint64) { go s.release(id) }, id)
	return p
}

// begin begins a request, or returns an error that says why the proxy cannot be used.
func (p *proxy) begin(op store.Op) (*request, error) {
	switch {
	case p == nil:
		return nil, errNotMade
	case p.closed.Load():
		return nil, mp.ErrClosed
	}
	r := p.s.begin(op, p.id)
	r.p = p
	return r, nil
}

// ask sends a request without arguments.
func (p *proxy) ask(ctx context.Context, op store.Op, read func(in *store.Reader) error) error {
	r, err := p.begin(op)
	if err != nil {
		return err
	}
	return r.do(ctx, read)
}

// askBool is like ask for a request whose result is a bool.
func (p *proxy) askBool(ctx context.Context, op store.Op) (yes bool, err error) {
	err = p.ask(ctx, op, func(in *store.Reader) error { yes = in.Bool(); return nil })
	return yes, err
}

// askInt is like ask for a request whose result is an int.
func (p *proxy) askInt(ctx context.Context, op store.Op) (n int, err error) {
	err = p.ask(ctx, op, func(in *store.Reader) error { n = in.Int(); return nil })
	return n, err
}

// close ends this process's use of the object.
func (p *proxy) close() error {
	if p == nil {
		return errNotMade
	}
	if !p.closed.Swap(true) {
		p.given.Stop()
		p.s.arrived(p.id)
		p.s.release(p.id)
	}
	return nil
}

// proxySize is the size of the fixed part of a proxy's wire form: the manager, the object, its kind
// and its shape. The manager's door follows if the manager has one in this tree of processes.
const proxySize = store.IDSize + 8 + 1 + 8

func (p *proxy) marshal() ([]byte, error) {
	switch {
	case p == nil:
		return nil, errNotMade
	case p.closed.Load():
		return nil, mp.ErrClosed
	}
	b := store.AppendRef(make([]byte, 0, proxySize+64), p.s.id, p.id)
	b = binary.LittleEndian.AppendUint64(append(b, byte(p.kind)), p.shape)
	door, err := doorTo(p.s.id)
	if err != nil {
		return nil, err
	}
	p.s.sent(p.id)
	return append(b, door...), nil
}

var errNoProxy = errors.New("manager: no proxy")

// unmarshal makes a proxy from the output of marshal. The kind and shape must match.
func unmarshal(b []byte, kind store.Kind, shape uint64) (*proxy, error) {
	if len(b) < proxySize {
		return nil, errNoProxy
	}
	id := binary.LittleEndian.Uint64(b[store.IDSize:])
	rest := b[store.IDSize+8:]
	if store.Kind(rest[0]) != kind || binary.LittleEndian.Uint64(rest[1:]) != shape {
		return nil, fmt.Errorf("%w: a proxy of a %v", ErrKind, store.Kind(rest[0]))
	}
	s, err := sessionOf(store.ID(b[:store.IDSize]), b[proxySize:])
	if err != nil {
		return nil, err
	}
	s.acquire(id, false)
	return newProxy(s, id, kind, shape), nil
}

// make makes an object, or finds the existing object with the same name. with writes the arguments
// for a new object, which are not used if the object exists.
func (m *Manager) make(ctx context.Context, kind store.Kind, shape uint64, opts []Option, with func(w *request) error) (*proxy, error) {
	s, err := m.use()
	if err != nil {
		return nil, err
	}
	var o options
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}

	r := s.begin(store.OpNew, 0)
	r.Uint(uint64(kind))
	r.Uint(shape)
	r.Bytes([]byte(o.name))
	if with != nil {
		if err := with(r); err != nil {
			r.free()
			return nil, err
		}
	}

	r.late = func(answer []byte) { // no caller gets the proxy
		if in, err := store.Answer(answer); err == nil {
			id := in.Uint()
			s.acquire(id, true)
			s.release(id)
		}
	}

	var p *proxy
	err = r.do(ctx, func(in *store.Reader) error {
		id := in.Uint()
		in.Bool()
		s.acquire(id, true)
		p = newProxy(s, id, kind, shape)
		return nil
	})

	return p, err
}
