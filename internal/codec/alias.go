package codec

import "reflect"

// Aliases reports whether a copy of a T can change later because the copy refers to memory that
// others may write. Strings cannot change. The value of a handle or a file is its identity, which
// cannot change either.
func Aliases[T any]() bool { return aliases(reflect.TypeFor[T]()) }

func aliases(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		return t != filePointer && !isHandle(t.Elem())
	case reflect.Slice, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	case reflect.Array:
		return t.Len() > 0 && aliases(t.Elem())
	case reflect.Struct:
		if t == timeType || isHandle(t) {
			return false
		}
		for f := range t.Fields() {
			if aliases(f.Type) {
				return true
			}
		}
	}

	return false
}
