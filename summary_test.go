package mp

import (
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

func (summarized) String() string { panic("it is not to be called") }

func TestSummary(t *testing.T) {
	round := &summarized{A: 1}
	round.C = round
	for want, v := range map[string]any{
		"7":                                7,
		"60000000000":                      time.Minute,
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
		if got := summary(v); len(got) > mostSummary+20 || !utf8.ValidString(got) || !strings.Contains(got, "…") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}
