package ipc

import (
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
)

// fixed returns an error that names the first part of t that is not a number. Another process could
// write any bits there, and only numbers have a valid value for every bit pattern.
func fixed(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return nil
	case reflect.Array:
		return fixed(t.Elem(), path+"[]")
	case reflect.Struct:
		for f := range t.Fields() {
			if err := fixed(f.Type, path+"."+f.Name); err != nil {
				return err
			}
		}
		return nil
	case reflect.Bool:
		return fmt.Errorf("mp: %s is a bool, and another process could write what is neither true nor false there: use uint8", path)
	}

	kind := t.Kind().String()
	if t.Kind() == reflect.Pointer {
		kind = "pointer"
	}
	return fmt.Errorf("mp: %s is a %s, which cannot lie in shared memory: only numbers can, and arrays and structs of them", path, kind)
}

// fixedType is like fixed, but checks T itself. It also returns an error if T has no size.
func fixedType[T any]() error {
	t := reflect.TypeFor[T]()
	if err := fixed(t, t.String()); err != nil {
		return err
	}
	if t.Size() == 0 {
		return fmt.Errorf("mp: %v has no size", t)
	}
	return nil
}

// describeShape writes what a type looks like in memory, without names.
func describeShape(w io.Writer, t reflect.Type) {
	fmt.Fprintf(w, "%v %d;", t.Kind(), t.Size())
	switch t.Kind() {
	case reflect.Array:
		describeShape(w, t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			fmt.Fprintf(w, "%d:", f.Offset)
			describeShape(w, f.Type)
		}
	}
}

// shapeOf returns a number that differs for types that would see different values in the same
// memory.
func shapeOf[T any]() uint64 {
	h := fnv.New64a()
	describeShape(h, reflect.TypeFor[T]())
	return h.Sum64()
}
