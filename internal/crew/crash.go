package crew

import "strings"

// BeginsCrash reports whether a line on stderr is one with which the Go runtime
// begins to tell of a crash.
func BeginsCrash(line string) bool {
	for _, p := range []string{"panic:", "fatal error:", "SIG", "runtime:", "unexpected fault address"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}
