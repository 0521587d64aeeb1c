package crew

import "strings"

// BeginsCrash reports whether a line on stderr is one with which the Go runtime
// begins to tell of a crash.
func BeginsCrash(line string) bool {
	return begins(line, "panic:", "unexpected fault address", "SIG") || beginsFatal(line)
}

// threadRule stands before the report of each further thread, with GOTRACEBACK=crash. That begins
// with "SIGQUIT: quit", by which the runtime reaches the thread, and not with what went wrong.
const threadRule = "-----"

// BeginsOutOfMemory reports whether a line on stderr says that the Go runtime, or its
// part in C, got no memory from the system.
func BeginsOutOfMemory(line string) bool {
	return beginsFatal(line) && (strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory"))
}

// crashedInRuntime reports whether the Go runtime used a null pointer in code of its own, as some of that does when the
// system refuses memory. A crash in C, or in a task, is none.
func crashedInRuntime(report string) bool {
	const (
		nullPointer = "sigcode=1 addr=0x0\n"
		inC         = "signal arrived during cgo"
		systemStack = "\ngoroutine 0 "
	)
	_, rest, ok := strings.Cut(report, nullPointer)
	if !ok || strings.HasPrefix(rest, inC) {
		return false
	}
	_, stack, _ := strings.Cut(rest, systemStack)
	_, frames, _ := strings.Cut(stack, "\n")
	return strings.HasPrefix(frames, "runtime.")
}

func beginsFatal(line string) bool {
	return begins(line, "fatal error:", "runtime:", "runtime/cgo:")
}

func begins(line string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}
