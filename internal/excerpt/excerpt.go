// Package excerpt shortens texts that are too long to be sent or kept whole.
package excerpt

import (
	"fmt"
	"unicode/utf8"
)

// Min is the smallest limit that leaves room for the note about the missing rest.
const Min = 64

// Head returns s if s is no longer than most bytes. If s is longer, Head returns the beginning of s
// followed by a note that says how many bytes are missing; the two together are no longer than most
// bytes. most must be at least Min.
func Head(s string, most int) string {
	if len(s) <= most {
		return s
	}
	note := fmt.Sprintf("… (%d bytes more)", len(s)) // at least as long as the final note
	cut := max(most-len(note), 0)
	for back := 0; back < utf8.UTFMax-1 && cut > 0 && !utf8.RuneStart(s[cut]); back++ {
		cut-- // do not split a rune
	}
	return s[:cut] + fmt.Sprintf("… (%d bytes more)", len(s)-cut)
}
