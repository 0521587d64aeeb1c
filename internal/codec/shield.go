package codec

import "reflect"

// harmless lists packages whose types have marshallers that are known to return.
var harmless = map[string]bool{
	"time": true, "net": true, "net/netip": true, "net/url": true, "math/big": true,
}

// callsUserCode reports whether encoding or decoding a t can call a marshaller of the user's.
func callsUserCode(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true

	if isHandle(t) || t == fileType {
		return false
	}
	if hasOwnForm(t) {
		return !harmless[t.PkgPath()]
	}

	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return callsUserCode(t.Elem(), seen)
	case reflect.Map:
		return callsUserCode(t.Key(), seen) || callsUserCode(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if callsUserCode(f.Type, seen) {
				return true
			}
		}
	case reflect.Interface:
		for _, r := range registered.all() {
			if callsUserCode(r, seen) {
				return true
			}
		}
	}
	return false
}
