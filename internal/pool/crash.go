package pool

import "strings"

// BeginsCrash reports whether a line on stderr is the start of a Go runtime's crash report.
func BeginsCrash(line string) bool {
	return begins(line, "panic:", "unexpected fault address", "SIG") || beginsFatal(line)
}

// threadRule is the line before the report of each further thread under GOTRACEBACK=crash. Such a
// report begins with "SIGQUIT: quit", which is the signal that the runtime stops the thread with,
// and does not name the cause of the crash.
const threadRule = "-----"

// BeginsOutOfMemory reports whether a line on stderr says that the Go runtime, or its C part, could
// not get memory from the system.
func BeginsOutOfMemory(line string) bool {
	return beginsFatal(line) && (strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory"))
}

// crashedInRuntime reports whether the Go runtime dereferenced a nil pointer in its own code, on a
// system stack. Parts of the runtime dereference a nil pointer when the system refuses them memory.
// Crashes in C or in a task do not count.
func crashedInRuntime(report string) bool {
	const (
		fault       = " sigcode=1 addr=0x"
		offsetSize  = 3 // hexadecimal digits of a field's offset
		inC         = "signal arrived during cgo"
		systemStack = "0 " // the number of the system stack's goroutine
	)
	_, rest, ok := strings.Cut(report, fault)
	offset, rest, _ := strings.Cut(rest, "\n")
	if !ok || len(offset) > offsetSize || strings.HasPrefix(rest, inC) {
		return false
	}

	_, stack, _ := strings.Cut(rest, "\ngoroutine ")
	goroutine, frames, _ := strings.Cut(stack, "\n")
	return strings.HasPrefix(goroutine, systemStack) && begins(frames, "runtime.", "internal/runtime/")
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
