// Package caller identifies calling packages.
package caller

import (
	"runtime"
	"strings"
)

// Package returns the import path of the package that called the caller of Package.
func Package() string {
	pcs := make([]uintptr, 1)
	runtime.Callers(3, pcs)
	frame, _ := runtime.CallersFrames(pcs).Next()
	// The name of a function is path/to/pkg.Name. Dots in the last part of the path are escaped.
	name := frame.Function
	slash := strings.LastIndex(name, "/") + 1
	if dot := strings.Index(name[slash:], "."); dot >= 0 {
		name = name[:slash+dot]
	}
	return strings.ReplaceAll(name, "%2e", ".")
}
