package codec

import (
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
)

// fingerprint hashes the wire form of a type: kinds, sizes, field names and tags, and the names of
// types that marshal themselves.
func fingerprint(t reflect.Type) uint64 {
	h := fnv.New64a()
	describe(h, t, map[reflect.Type]int{})
	return h.Sum64()
}

func describe(w io.Writer, t reflect.Type, seen map[reflect.Type]int) {
	if n, ok := seen[t]; ok {
		fmt.Fprintf(w, "^%d", n)
		return
	}
	seen[t] = len(seen)
	fmt.Fprintf(w, "%s %v:", t.Kind(), t)

	if hasOwnForm(t) || t == fileType {
		fmt.Fprintf(w, "own %s;", t.PkgPath())
		return
	}

	switch t.Kind() {
	case reflect.Map:
		describe(w, t.Key(), seen)
		describe(w, t.Elem(), seen)
	case reflect.Pointer, reflect.Slice:
		describe(w, t.Elem(), seen)
	case reflect.Array:
		fmt.Fprintf(w, "%d", t.Len())
		describe(w, t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			fmt.Fprintf(w, "{%s %q ", f.Name, f.Tag)
			describe(w, f.Type, seen)
			io.WriteString(w, "}")
		}
	case reflect.Interface:
	default:
		fmt.Fprintf(w, "%d;", t.Size())
	}
}
