package manager

import (
	"context"
	"time"

	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// Unregistered returns functions, by name, each of which asks the manager for something that is not
// registered in its program.
func Unregistered[T any](ctx context.Context, m *Manager, o *Object[T]) map[string]func() error {
	ask := func(r *request, err error, parts ...string) error {
		if err != nil {
			return err
		}
		r.Bytes([]byte(parts[0]))
		r.Uint(1)
		for _, p := range parts[1:] {
			r.Bytes([]byte(p))
		}
		return r.do(ctx, nil)
	}

	d, err := NewDict[string, int](ctx, m)
	if err != nil {
		panic(err)
	}

	return map[string]func() error{
		"no.method": func() error { r, err := o.p.begin(store.OpInvoke); return ask(r, err, "no.method", "") },
		"no.function": func() error {
			r, err := d.p.begin(store.OpDictChange)
			return ask(r, err, "no.function", "key", "arg")
		},
		"no.type": func() error {
			_, err := m.make(ctx, store.KindOwn, 1, nil, func(r *request) error {
				r.Bytes([]byte("no.type"))
				r.Bytes(nil)
				return nil
			})
			return err
		},
	}
}

// InvokeOther calls a method with a fingerprint of types that are not the method's.
func InvokeOther[T any](ctx context.Context, o *Object[T], name string) error {
	r, err := o.p.begin(store.OpInvoke)
	if err != nil {
		return err
	}
	r.Bytes([]byte(name))
	r.Uint(1)
	r.Bytes(nil)
	return r.do(ctx, nil)
}

// Drop cuts this process's connection to a manager.
func (m *Manager) Drop() {
	m.s.mu.Lock()
	on := m.s.conn
	m.s.mu.Unlock()
	if on != nil {
		_ = on.Close()
	}
}

// Protocol is the type of a manager's messages.
type Protocol = protocol

// Pings returns one message with n requests.
func Pings(n int) []byte {
	var w store.Writer
	for i := range n {
		w.Begin(uint32(i+1), store.OpStats, 0)
		w.End()
	}
	return w.B
}

// Loads returns one message with n requests to load a Value.
func Loads(object uint64, n int) []byte {
	var w store.Writer
	for i := range n {
		w.Begin(uint32(i+1), store.OpValueLoad, object)
		w.End()
	}
	return w.B
}

// Knock makes one more connection from this process to a manager, through the manager's door.
func (m *Manager) Knock(ctx context.Context) (*ipc.Conn[Protocol], error) {
	return (&knocker{door: m.owner.door}).connect(ctx)
}

// PutIntoDoor puts the end of a pipe into the door, as a client that ignores the protocol might.
func (m *Manager) PutIntoDoor(ctx context.Context, c *ipc.Conn[Protocol], name string) error {
	return m.owner.door.Put(ctx, hello{Conn: c, Name: name})
}

// Relocking sets how long a Cond's Wait waits for its Mutex after its context has ended, until back
// is called.
func Relocking(d time.Duration) (back func()) {
	before := relocking
	relocking = d
	return func() { relocking = before }
}

// NumberOf returns the ID of a Value's object.
func NumberOf[T any](v *Value[T]) uint64 { return v.p.id }
