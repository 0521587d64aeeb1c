package mp

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

const (
	mostSummary = 80 // bytes
	mostItems   = 4  // of a slice, a map or a struct
)

// summary says what a value is, in a few words. It calls none of its methods, and looks at little of
// it however large it is.
func summary(v any) string {
	var s summarizer
	s.value(reflect.ValueOf(v), 0)
	text := s.String()
	if len(text) <= mostSummary {
		return text
	}
	return strings.ToValidUTF8(text[:mostSummary], "") + "…"
}

type summarizer struct{ strings.Builder }

func (s *summarizer) value(v reflect.Value, depth int) {
	const deepest = 3
	if s.Len() > mostSummary {
		return
	}
	switch v.Kind() {
	case reflect.Invalid:
		s.WriteString("nil")
	case reflect.Bool:
		fmt.Fprint(s, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		fmt.Fprint(s, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		fmt.Fprint(s, v.Uint())
	case reflect.Float32, reflect.Float64:
		fmt.Fprint(s, v.Float())
	case reflect.Complex64, reflect.Complex128:
		fmt.Fprint(s, v.Complex())
	case reflect.String:
		s.text(v.String())
	case reflect.Pointer, reflect.Interface:
		s.inner(v, depth)
	default:
		if depth == deepest {
			s.WriteString("…")
			return
		}
		s.parts(v, depth+1)
	}
}

func (s *summarizer) text(t string) {
	if len(t) > mostSummary {
		s.WriteString(strconv.Quote(strings.ToValidUTF8(t[:mostSummary/2], "")))
		fmt.Fprintf(s, "… (%d bytes)", len(t))
		return
	}
	s.WriteString(strconv.Quote(t))
}

func (s *summarizer) inner(v reflect.Value, depth int) {
	switch {
	case v.IsNil():
		s.WriteString("nil")
	case v.Kind() == reflect.Pointer && depth > 0:
		s.WriteString(v.Type().String())
	default:
		s.value(v.Elem(), depth+1)
	}
}

func (s *summarizer) parts(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		s.list(v.NumField(), func(i int) {
			s.WriteString(v.Type().Field(i).Name + ":")
			s.value(v.Field(i), depth)
		})
	case reflect.Slice, reflect.Array:
		s.list(v.Len(), func(i int) { s.value(v.Index(i), depth) })
	case reflect.Map: // its order is anybody's guess
		fmt.Fprintf(s, "%v of %d", v.Type(), v.Len())
	default:
		s.WriteString(v.Type().String())
	}
}

func (s *summarizer) list(n int, item func(i int)) {
	s.WriteString("{")
	for i := range min(n, mostItems) {
		if i > 0 {
			s.WriteString(" ")
		}
		item(i)
	}
	if n > mostItems {
		fmt.Fprintf(s, " … (%d)", n)
	}
	s.WriteString("}")
}
