package manager

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/caller"
	"github.com/go-multiprocessing/mp/internal/codec"
	"github.com/go-multiprocessing/mp/internal/store"
)

// functions are what has been registered in this program, by name.
var functions registry

type registry struct {
	mu     sync.Mutex
	byName map[string]registered
	host   store.ID // of the manager that this process is, if it is one
}

// registered is a Func, method, type or Setup function.
type registered interface {
	// check chooses the codecs, once all init functions have run.
	check() error
}

// add notes what the caller of the function that calls this registers, and returns its name.
func (r *registry) add(what, pkg, name string, isNil bool, f registered) string {
	if isNil {
		panic(fmt.Sprintf("manager: %s(%q): the function is nil", what, name))
	}
	if name == "" || strings.ContainsAny(name, "\n\r") {
		panic(fmt.Sprintf("manager: %s: %q is no name", what, name))
	}
	name = pkg + "." + name
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]registered{}
	}
	if r.byName[name] != nil {
		panic(fmt.Sprintf("manager: %s: %q is registered twice: give one another name", what, name))
	}
	r.byName[name] = f
	return name
}

// check returns the first error of a type that cannot travel.
func (r *registry) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, f := range r.byName {
		if err := f.check(); err != nil {
			return fmt.Errorf("manager: %s: %w", name, err)
		}
	}
	return nil
}

// find finds what is registered by a name, of some type.
func find[F registered](r *registry, what, name string) (f F, err error) {
	r.mu.Lock()
	x, ok := r.byName[name].(F)
	r.mu.Unlock()
	if !ok {
		return f, fmt.Errorf("%w: the %s %q", ErrNotRegistered, what, name)
	}
	return x, x.check()
}

var errOtherTypes = errors.New("manager: the program of the manager has it with other types")

// Change is store.Functions's.
func (r *registry) Change(name string, shape uint64) (func(ctx context.Context, old, arg []byte) ([]byte, bool, error), error) {
	f, err := find[changing](r, "function", name)
	if err != nil {
		return nil, err
	}
	if f.shapeOf() != shape {
		return nil, fmt.Errorf("%w: %s", errOtherTypes, name)
	}
	return f.change, nil
}

// Make is store.Functions's.
func (r *registry) Make(name string, shape uint64) (func(ctx context.Context, arg []byte) (any, error), error) {
	t, err := find[making](r, "type", name)
	if err != nil {
		return nil, err
	}
	if t.shapeOf() != shape {
		return nil, fmt.Errorf("%w: %s", errOtherTypes, name)
	}
	return t.create, nil
}

// Method is store.Functions's.
func (r *registry) Method(object any, name string, shape uint64) (func(ctx context.Context, arg []byte) ([]byte, error), error) {
	m, err := find[invoking](r, "method", name)
	if err != nil {
		return nil, err
	}
	if m.shapeOf() != shape {
		return nil, fmt.Errorf("%w: %s", errOtherTypes, name)
	}
	return m.bind(object)
}

// Taken is store.Functions's. Proxies in what was encoded here for the manager itself were not sent
// on.
func (r *registry) Taken(value []byte) {
	if len(value) < store.RefSize {
		return
	}
	if s := knownSession(r.hosted()); s != nil {
		s.stored(value)
	}
}

// hosts notes that this process is a manager.
func (r *registry) hosts(id store.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.host = id
}

func (r *registry) hosted() store.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.host
}

// shielded calls code of the user's. A panic is an error, and so is runtime.Goexit.
func shielded(f func() error) (err error) {
	returned := false
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			switch r := recover(); {
			case r != nil:
				err = panicError(r)
			case !returned:
				err = mp.ErrGoexit
			}
		}()
		err = f()
		returned = true
	}()
	<-over
	return err
}

func panicError(r any) error {
	e := &mp.PanicError{Value: fmt.Sprint(r), Stack: string(debug.Stack())}
	if err, ok := r.(error); ok {
		e.Value = err
	}
	return e
}

// codecOf is the codec of values of type T that a manager keeps.
func codecOf[T any]() (*codec.Type[T], error) {
	var zero *T
	if c, ok := codecs.Load(zero); ok {
		return c.(*codec.Type[T]), nil
	}
	c, err := codec.ForMessage[T]()
	if err == nil {
		codecs.Store(zero, c)
	}
	return c, err
}

var codecs sync.Map // by nil pointers to their types

// A Func makes a new value of an old one in the manager's process; see [Function].
type Func[V, A any] struct {
	name string
	f    func(ctx context.Context, old V, arg A) (V, error)
	in   *codec.Type[V]
	arg  *codec.Type[A]
	once func() error
}

// Function registers a function that changes values where they are, so that nobody else changes them
// meanwhile; see [Update]. It gets the old value, the zero value of V if there is none, and an
// argument. Its error is the caller's, and changes nothing; with [Remove] the value is removed. If the
// value is changed by other means while f runs, f is called again with the new one; so it must have no
// effects beside its result. When its ctx ends, the caller does not wait any more; return then. It must
// not update what it is about to change itself: that would wait for its own end.
//
// Like [mp.Register] it belongs into package variables or init functions, so that the
// manager's process has it, and panics if the name is empty or taken.
func Function[V, A any](name string, f func(ctx context.Context, old V, arg A) (V, error)) *Func[V, A] {
	fn := &Func[V, A]{f: f}
	fn.once = sync.OnceValue(fn.choose)
	fn.name = functions.add("Function", caller.Package(), name, f == nil, fn)
	return fn
}

func (f *Func[V, A]) check() error { return f.once() }

func (f *Func[V, A]) choose() (err error) {
	if f.in, err = codecOf[V](); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if f.arg, err = codecOf[A](); err != nil {
		return fmt.Errorf("argument: %w", err)
	}
	return nil
}

// changing is a Func of any types.
type changing interface {
	registered
	shapeOf() uint64
	change(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error)
}

func (f *Func[V, A]) shapeOf() uint64 {
	return store.Shape(0, f.in.Fingerprint(), f.arg.Fingerprint())
}

func (f *Func[V, A]) change(ctx context.Context, old, arg []byte) (value []byte, remove bool, err error) {
	err = shielded(func() error {
		var v V
		var a A
		if old != nil {
			if err := decode(f.in, old, &v); err != nil {
				return err
			}
		}
		if err := decode(f.arg, arg, &a); err != nil {
			return err
		}
		v, err := f.f(ctx, v, a)
		if err == nil {
			value, err = encode(nil, f.in, &v)
		}
		return err
	})
	if errors.Is(err, Remove) {
		return nil, true, nil
	}
	return value, false, err
}

// writeTo writes which function is to be called.
func (f *Func[V, A]) writeTo(r *request) error {
	if err := f.check(); err != nil {
		return err
	}
	r.Bytes([]byte(f.name))
	r.Uint(f.shapeOf())
	return nil
}
