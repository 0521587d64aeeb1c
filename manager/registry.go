package manager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-multiprocessing/mp/manager/internal/store"
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

// mostOfName is how many bytes of a client's name an error quotes.
const mostOfName = 200

// find finds what is registered by a name, of some type.
func find[F registered](r *registry, what, name string) (f F, err error) {
	r.mu.Lock()
	x, ok := r.byName[name].(F)
	r.mu.Unlock()
	if !ok {
		return f, fmt.Errorf("%w: the %s %q", ErrNotRegistered, what, name[:min(len(name), mostOfName)])
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
