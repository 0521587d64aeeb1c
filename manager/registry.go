package manager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-multiprocessing/mp/manager/internal/store"
)

// functions holds everything that was registered in this program, by name.
var functions registry

type registry struct {
	mu     sync.Mutex
	byName map[string]registered
	host   store.ID // the manager that runs in this process, if any
}

// registered is a Func, method, type or Setup function.
type registered interface {
	// check chooses the codecs. It is called after all init functions have run.
	check() error
}

// add registers f and returns its full name. what is the name of the registering function, and pkg
// is the package of its caller.
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

// check returns an error if a registered type cannot be encoded.
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

// maxOfName is the maximum number of bytes that an error quotes of a name sent by a client.
const maxOfName = 200

// find returns what is registered under a name, if its type is F.
func find[F registered](r *registry, what, name string) (f F, err error) {
	r.mu.Lock()
	x, ok := r.byName[name].(F)
	r.mu.Unlock()
	if !ok {
		return f, fmt.Errorf("%w: the %s %q", ErrNotRegistered, what, name[:min(len(name), maxOfName)])
	}
	return x, x.check()
}

var errOtherTypes = errors.New("manager: the program of the manager has it with other types")

// Change implements store.Functions.
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

// Make implements store.Functions.
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

// Method implements store.Functions.
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

// Taken implements store.Functions. A value that was encoded here for the manager itself did not
// leave this process, so the proxies in it were not sent on.
func (r *registry) Taken(value []byte) {
	if len(value) < store.RefSize {
		return
	}
	if s := knownSession(r.hosted()); s != nil {
		s.stored(value)
	}
}

// hosts notes that this process runs a manager.
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
