package codec

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// A registry holds the concrete types whose values may be in interfaces. The CBOR tag number of
// each is derived from its name.
type registry struct {
	mu    sync.RWMutex
	types map[reflect.Type]bool // as registered: T or *T
	base  map[reflect.Type]reflect.Type
	byTag map[uint64]reflect.Type

	builtin map[reflect.Type]bool // types that the user has not registered
}

var registered = newRegistry()

func newRegistry() *registry {
	return &registry{types: map[reflect.Type]bool{}, base: map[reflect.Type]reflect.Type{}, byTag: map[uint64]reflect.Type{}, builtin: map[reflect.Type]bool{}}
}

// Register admits values of type t in interfaces. It returns an error for an unnamed type, and for
// a type that is already registered as T or as *T.
func Register(t reflect.Type) error {
	if t == nil || t.Kind() == reflect.Interface {
		return errors.New("an interface cannot be registered, only the types that travel in it")
	}
	return registered.add(t)
}

func (r *registry) add(t reflect.Type) error {
	base := t
	if t.Kind() == reflect.Pointer {
		base = t.Elem()
	}

	if base.Name() == "" || base.PkgPath() == "" {
		return fmt.Errorf("%v is not a named type", t)
	}
	if base == timeType {
		return fmt.Errorf("a %v travels without being registered", base)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.base[base] != nil {
		return fmt.Errorf("%v is registered already, as %v", t, r.base[base])
	}
	if other := r.byTag[tagNumber(base)]; other != nil {
		return fmt.Errorf("%v has the tag number of %v: give one another name", t, other)
	}

	r.base[base] = t
	r.byTag[tagNumber(base)] = t
	r.types[t] = true
	return nil
}

// tagNumber returns a number above the range that CBOR's own registry assigns.
func tagNumber(t reflect.Type) uint64 {
	h := fnv.New64a()
	h.Write([]byte(t.PkgPath() + "." + t.Name()))
	return h.Sum64() | 1<<63
}

// CheckRegistered returns an error that names the first part of a registered type that cannot be
// sent.
func CheckRegistered() error {
	for _, t := range registered.all() {
		if err := check(t); err != nil {
			return err
		}
	}
	return nil
}

// all returns the registered types, with pointer types replaced by their elements.
func (r *registry) all() []reflect.Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Keys(r.base))
}

// registeredFor reports whether any type that the user has registered implements t.
func registeredFor(t reflect.Type) bool {
	registered.mu.RLock()
	defer registered.mu.RUnlock()
	for have := range registered.types {
		if !registered.builtin[have] && have.Implements(t) {
			return true
		}
	}
	return false
}

// travels reports whether a value of exactly type t may be in an interface.
func (r *registry) travels(t reflect.Type) bool {
	registerBuiltin()
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.types[t]
}

// byNumber returns the type, T or *T, that was registered with a tag number.
func (r *registry) byNumber(n uint64) reflect.Type {
	registerBuiltin()
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byTag[n]
}
