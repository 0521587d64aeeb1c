package excerpt

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// A text within the limit is returned unchanged. A longer one is cut, and the number of missing
// bytes is appended.
func TestHead(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("x", Min)} {
		if got := Head(s, Min); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}

	for _, unit := range []string{"x", "é", "世", "😀", "\x80"} {
		for n := Min + 1; n < Min+40; n++ {
			s := strings.Repeat(unit, n)
			got := Head(s, Min)
			if len(got) > Min {
				t.Errorf("%d bytes of %q are left of %d", len(got), unit, len(s))
			}

			kept, note, _ := strings.Cut(got, "…")
			if kept == "" || !strings.HasPrefix(s, kept) || note != fmt.Sprintf(" (%d bytes more)", len(s)-len(kept)) {
				t.Errorf("%d of %q became %q", n, unit, got)
			}
			if utf8.ValidString(s) && !utf8.ValidString(got) {
				t.Errorf("%q is half a rune", got)
			}
		}
	}
}
