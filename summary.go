package mp

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp/internal/protect"
)

const (
	maxSummary = 80 // maximum size in bytes
	maxItems   = 4  // maximum number of items of a slice, a map or a struct
	maxNested  = 8  // maximum nesting of values that stand for others

	// summaryTimeout is how long the methods of one value may take. The goroutine that asks for
	// the summary also serves other tasks.
	summaryTimeout = 100 * time.Millisecond
)

// summary describes a value in a few words. If the value, or a part of it, has a method that says
// how to show it, summary uses only that method for it. The cost does not grow with the size of the
// value.
func summary(v any) string {
	text := make(chan string, 1)
	go func() {
		var s summarizer
		if err := protect.Call(func() error { s.value(reflect.ValueOf(v), 0); return nil }); err != nil {
			text <- unshown(reflect.TypeOf(v))
			return
		}
		text <- s.String()
	}()

	timeout := time.NewTimer(summaryTimeout)
	defer timeout.Stop()

	select {
	case t := <-text:
		return shorten(t)
	case <-timeout.C:
		return unshown(reflect.TypeOf(v))
	}
}

// unshown returns the text for a value of type t that cannot be shown.
func unshown(t reflect.Type) string { return shorten(fmt.Sprint(t)) }

func shorten(text string) string {
	if len(text) <= maxSummary {
		return text
	}
	return strings.ToValidUTF8(text[:maxSummary], "") + "…"
}

type summarizer struct{ strings.Builder }

func (s *summarizer) value(v reflect.Value, depth int) {
	const deepest = 3
	switch {
	case s.Len() > maxSummary:
		return
	case depth > maxNested: // the value of a LogValuer may contain the LogValuer
		s.WriteString("…")
		return
	case s.itself(v, depth):
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

// showers are the types whose values say how to show them.
var showers = []reflect.Type{
	reflect.TypeFor[slog.LogValuer](), reflect.TypeFor[fmt.Formatter](), reflect.TypeFor[redactor](), reflect.TypeFor[error](), reflect.TypeFor[fmt.Stringer](),
}

// redactor is implemented by url.URL.
type redactor interface{ Redacted() string }

// itself shows a value that has one of the methods of showers, or whose pointer has one. It reports
// whether it has shown the value.
func (s *summarizer) itself(v reflect.Value, depth int) bool {
	if !v.IsValid() || v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer && v.IsNil() {
		return false
	}
	for _, how := range showers {
		switch {
		case v.Type().Implements(how):
		case reflect.PointerTo(v.Type()).Implements(how) && v.Kind() != reflect.Pointer:
			if v.CanInterface() {
				p := reflect.New(v.Type()) // a copy, because v may not be addressable
				p.Elem().Set(v)
				v = p
			}
		default:
			continue
		}

		if !v.CanInterface() { // methods of an unexported field cannot be called
			s.WriteString(v.Type().String())
			return true
		}
		s.shown(v.Interface(), depth)
		return true
	}

	return false
}

// shown shows v by the first of the methods of showers that it has.
func (s *summarizer) shown(v any, depth int) {
	defer func() {
		if recover() != nil { // the panic's value may contain what v hides
			s.WriteString(reflect.TypeOf(v).String())
		}
	}()

	switch v := v.(type) {
	case slog.LogValuer:
		s.logValue(slog.AnyValue(v).Resolve(), depth)
	case fmt.Formatter:
		s.line(fmt.Sprintf("%+v", v))
	case redactor:
		s.line(v.Redacted())
	case error:
		s.line(v.Error())
	case fmt.Stringer:
		s.line(v.String())
	}
}

// logValue shows the value of a LogValuer, which may contain other LogValuers.
func (s *summarizer) logValue(v slog.Value, depth int) {
	switch {
	case depth > maxNested:
		s.WriteString("…")
	case v.Kind() == slog.KindGroup:
		attrs := v.Group()
		s.list(len(attrs), func(i int) {
			s.WriteString(attrs[i].Key + ":")
			s.logValue(attrs[i].Value.Resolve(), depth+1)
		})
	case v.Kind() == slog.KindAny:
		s.value(reflect.ValueOf(v.Any()), depth+1)
	case v.Kind() == slog.KindString:
		s.text(v.String())
	default:
		s.line(v.String())
	}
}

// line writes text on one line, because the table of Stats has no room for more.
func (s *summarizer) line(text string) {
	text = text[:min(len(text), 2*maxSummary)]
	s.WriteString(strings.Map(func(r rune) rune {
		if r < ' ' || r == '\u007f' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

func (s *summarizer) text(t string) {
	if len(t) > maxSummary {
		s.WriteString(strconv.Quote(strings.ToValidUTF8(t[:maxSummary/2], "")))
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
	case reflect.Map: // its order is random
		fmt.Fprintf(s, "%v of %d", v.Type(), v.Len())
	default:
		s.WriteString(v.Type().String())
	}
}

func (s *summarizer) list(n int, item func(i int)) {
	s.WriteString("{")
	for i := range min(n, maxItems) {
		if i > 0 {
			s.WriteString(" ")
		}
		item(i)
	}
	if n > maxItems {
		fmt.Fprintf(s, " … (%d)", n)
	}
	s.WriteString("}")
}
