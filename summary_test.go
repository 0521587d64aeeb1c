package mp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

type summarized struct {
	A int
	b string
	C *summarized
	D []any
}

type (
	secret    string          // hides itself as a Formatter
	hiding    string          // hides itself as a Stringer
	byPointer struct{ k int } // hides itself by a method of its pointer
	logged    struct{ A int } // hides itself as a LogValuer
	group     struct{ A, B secret }
	failing   string
	waiting   chan int
	quitting  int
	wrapped   struct{ error }
	endless   struct{}
)

func (secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "<hid\nden>") }
func (secret) String() string             { return "less is told by Format" }
func (hiding) String() string             { return "***" }
func (*byPointer) String() string         { return "***" }
func (logged) LogValue() slog.Value       { return slog.AnyValue([]any{secret("x"), 1}) }
func (logged) String() string             { return "less is told by LogValue" }
func (g group) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("a", g.A), slog.String("b", "…"), slog.Any("c", logged{}))
}
func (e endless) LogValue() slog.Value { return slog.GroupValue(slog.Any("", e)) }
func (f failing) String() string       { panic(string(f)) }
func (w waiting) String() string       { <-w; return "" }
func (quitting) LogValue() slog.Value  { runtime.Goexit(); return slog.Value{} }

// Each of these types has only one method that says how it may be shown.
type (
	onlyFormatted struct{ p string }
	onlyRedacted  struct{ p string }
)

func (onlyFormatted) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "***") }

func (onlyRedacted) Redacted() string { return "***" }

// A value that hides itself is hidden wherever it is.
func TestSummaryHides(t *testing.T) {
	type in struct {
		P *secret
		S []secret
		A any
		h hiding
	}

	word := secret("hunter2")
	u := url.URL{Scheme: "https", User: url.UserPassword("eve", "hunter2"), Host: "h"}
	wait := make(waiting)
	defer close(wait)

	for _, v := range []any{
		word, &word, []secret{word}, [1]secret{word}, map[string]secret{"a": word}, map[secret]int{word: 1}, []any{word}, []*secret{&word},
		in{&word, []secret{word}, word, "hunter2"}, &in{&word, []secret{word}, &word, "hunter2"}, [][]in{{{h: "hunter2"}}},
		hiding("hunter2"), byPointer{7}, &byPointer{7}, []byPointer{{7}}, logged{7}, []logged{{7}}, struct{ L *logged }{&logged{7}}, group{word, word}, []any{group{word, word}},
		failing("hunter2"), []failing{"hunter2"}, u, &u, wrapped{errors.New("an error")}, struct{ U url.URL }{u}, quitting(7), endless{}, []any{wait, word},
		onlyFormatted{"hunter2"}, &onlyFormatted{"hunter2"}, []onlyFormatted{{"hunter2"}}, onlyRedacted{"hunter2"}, []onlyRedacted{{"hunter2"}},
	} {
		got := summary(v)
		if strings.Contains(got, "hunter2") || strings.Contains(got, "less") || strings.Contains(got, "7") || strings.Contains(got, "\n") || got == "" {
			t.Errorf("%T: %q", v, got)
		}
	}
}

func TestSummary(t *testing.T) {
	round := &summarized{A: 1}
	round.C = round
	for want, v := range map[string]any{
		"7":    7,
		"1m0s": time.Minute,
		"{T:1970-01-01 00:00:00 +0000 UTC D:1s}": struct {
			T time.Time
			D time.Duration
		}{time.Unix(0, 0).UTC(), time.Second},
		"<hid den>":       secret("x"),
		"{<hid den> ***}": []any{secret("x"), hiding("y")},
		"{a:<hid den> b:\"…\" c:{<hid den> 1}}": group{},
		"mp.failing":                       failing("x"),
		"an error":                         wrapped{errors.New("an error")},
		`"text"`:                           "text",
		"1.5":                              1.5,
		"true":                             true,
		"nil":                              nil,
		"{1 2 3 4 … (1000000)}":            append([]byte{1, 2, 3, 4}, make([]byte, 999_996)...),
		"map[string]int of 2":              map[string]int{"a": 1, "b": 2},
		`{A:1 b:"x" C:nil D:{}}`:           summarized{A: 1, b: "x"},
		`{A:1 b:"" C:*mp.summarized D:{}}`: round,
		"{}":                               struct{}{},
		"func()":                           func() {},
		"{{{… …}}}":                        [][][][]int{{{{1}, {2}}}},
	} {
		if got := summary(v); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}

	for _, v := range []any{strings.Repeat("ä", 1000), strings.Repeat("a\xff", 1000), []any{strings.Repeat("long ", 10), strings.Repeat("longer ", 10), 1}} {
		if got := summary(v); len(got) > maxSummary+20 || !utf8.ValidString(got) || !strings.Contains(got, "…") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}
