// Package caller tells who has called.
package caller

import (
	"runtime"
	"strings"
)

// Package is the import path of the package that called the exported function that calls
// this.
func Package() string {
	pcs := make([]uintptr, 1)
	runtime.Callers(3, pcs)
	frame, _ := runtime.CallersFrames(pcs).Next()
	// A function is called path/to/pkg.Name; dots in the last part of the
	// path are escaped.
	name := frame.Function
	slash := strings.LastIndex(name, "/") + 1
	if dot := strings.Index(name[slash:], "."); dot >= 0 {
		name = name[:slash+dot]
	}
	return strings.ReplaceAll(name, "%2e", ".")
}
